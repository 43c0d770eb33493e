// Follow the counter over server-sent events from where it was left; print one JSON line per message, stop at `until`.
// node sse.cjs URL AUTHORIZATION UNTIL
const { createClient } = require("./node_modules/graphql-sse/lib/client.js");

const [url, authorization, until] = process.argv.slice(2);
const say = (what) => console.log(JSON.stringify(what));

const client = createClient({
  url,
  headers: { Authorization: authorization },
  retryAttempts: 100,
  retry: () => new Promise((resolve) => setTimeout(resolve, 50)),
  on: { connected: (again) => say({ connected: again }) },
});

const asked = { query: "subscription ($after: Int!) { ticks(after: $after) }", variables: { after: 0 } };
const stop = client.subscribe(asked, {
  next: ({ data, errors }) => {
    if (errors) {
      say({ error: errors[0].extensions.code });
      process.exit(1);
    }
    asked.variables.after = data.ticks;
    say(data);
    if (data.ticks >= Number(until)) {
      stop();
      client.dispose();
    }
  },
  error: (error) => {
    say({ error: error.response?.status ?? String(error) });
    process.exit(1);
  },
  complete: () => say({ complete: true }),
});
