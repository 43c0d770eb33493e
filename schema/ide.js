// Starts GraphiQL with our examples: as tabs at the first visit, and always in a pane of their own.
const h = React.createElement;

const icon = () =>
  h("svg", { viewBox: "0 0 24 24", fill: "none", stroke: "currentColor", strokeWidth: 1.5 },
    h("path", { d: "M13 2 5 14h6l-1 8 9-13h-6z" }));

function examplesPane(examples) {
  return () => {
    const editors = GraphiQL.React.useEditorContext({ nonNull: true });
    const show = (example) => {
      editors.queryEditor?.setValue(example.query);
      editors.variableEditor?.setValue(example.variables);
      if (example.headers && !editors.headerEditor?.getValue().trim()) editors.headerEditor?.setValue(example.headers);
    };
    return h("section", { "aria-label": "Examples" },
      h("div", { className: "graphiql-doc-explorer-title" }, "Examples"),
      h("p", null, "They replace what the current tab holds."),
      examples.map((example) =>
        h(GraphiQL.React.Button, { key: example.title, className: "example", onClick: () => show(example) },
          h("strong", null, example.title), example.about)));
  };
}

function storageWithoutKeys() {
  // A namespace, because other projects' GraphiQL may have been at this address before.
  const storage = GraphiQL.createLocalStorage({ namespace: "ochub" });
  const store = storage.setItem;
  // GraphiQL keeps headers only where its settings say so; but its history has them all the same.
  const isHistory = (name) => ["graphiql:queries", "graphiql:favorites"].includes(name);
  storage.setItem = (name, value) =>
    store(name, isHistory(name) ? value.replace(/\bochub_\w+/g, "ochub_...") : value);
  return storage;
}

async function start() {
  const examples = await (await fetch("/graphiql/assets/examples.json")).json();
  const storage = storageWithoutKeys();
  const isFirstVisit = storage.getItem("graphiql:tabState") === null;
  ReactDOM.createRoot(document.getElementById("graphiql")).render(
    h(GraphiQL, {
      // Subscriptions go over a socket; what the headers pane holds then goes into connection_init.
      fetcher: GraphiQL.createFetcher({ url: "/graphql", subscriptionUrl: `${location.origin.replace("http", "ws")}/graphql` }),
      defaultTabs: examples.map(({ query, variables, headers }) => ({ query, variables, headers })),
      // Of the tab shown first GraphiQL takes only the query from there.
      variables: isFirstVisit ? examples[0].variables : undefined,
      defaultEditorToolsVisibility: true,
      plugins: [{ title: "Examples", icon, content: examplesPane(examples) }],
      storage,
    }));
}

start();
