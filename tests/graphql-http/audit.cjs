// Audit the server at the address given; print one JSON list: id, name, status and, where it is not "ok", the reason.
// By its path, because the package itself would ask for `graphql`, which the audits do without.
const { auditServer } = require("./node_modules/graphql-http/lib/audits/server.js");

async function main(url) {
  const results = await auditServer({ url });
  console.log(JSON.stringify(results.map(({ id, name, status, reason }) => ({ id, name, status, reason }))));
}

main(process.argv[2]).catch((error) => {
  console.error(error);
  process.exit(1);
});
