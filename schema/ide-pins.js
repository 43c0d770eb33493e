// Keeps of package-lock.json what the page loads: the packages of package.json, whose bundles hold all that they need.
// Without `resolved` they come from whichever registry npm is told to use; `integrity` says that they are the same.
const { readFileSync, writeFileSync } = require("node:fs");

const lock = JSON.parse(readFileSync("package-lock.json", "utf8"));
const loaded = Object.keys(lock.packages[""].dependencies).map((name) => [`node_modules/${name}`, name]);

lock.packages = {
  "": lock.packages[""],
  ...Object.fromEntries(loaded.map(([path]) => {
    const { version, integrity, license } = lock.packages[path];
    return [path, { version, integrity, license }];
  })),
};
writeFileSync("package-lock.json", JSON.stringify(lock, null, 2) + "\n");
