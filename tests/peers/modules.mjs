// The packages of package.json, where scripts/tools.sh has them.
import { createRequire } from "node:module";
import os from "node:os";
import path from "node:path";

const cache = process.env.XDG_CACHE_HOME ?? path.join(os.homedir(), ".cache");
export const require = createRequire(path.join(cache, "weir", "npm", "package.json"));
