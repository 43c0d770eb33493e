// Follow the counter over WebSockets from where it was left; print one JSON line per message, and stop at `until`.
// node ws.cjs URL AUTHORIZATION UNTIL
// By its path, because the package itself would ask for `graphql`, which a client does without.
const { createClient } = require("./node_modules/graphql-ws/dist/client.cjs");

const [url, authorization, until] = process.argv.slice(2);
const say = (what) => console.log(JSON.stringify(what));

const client = createClient({
  url,
  connectionParams: { authorization },
  retryAttempts: 100,
  shouldRetry: () => true, // also when the line broke without a word
  retryWait: () => new Promise((resolve) => setTimeout(resolve, 50)),
  on: {
    connected: (_socket, _payload, again) => say({ connected: again }),
    closed: (event) => say({ closed: event.code }),
  },
});

const asked = { query: "subscription ($after: Int!) { ticks(after: $after) }", variables: { after: 0 } };
const stop = client.subscribe(asked, {
  next: ({ data }) => {
    asked.variables.after = data.ticks;
    say(data);
    if (data.ticks >= Number(until)) {
      stop();
      client.dispose();
    }
  },
  error: (error) => {
    say({ error: error.code ?? String(error) });
    process.exit(1);
  },
  complete: () => say({ complete: true }),
});
