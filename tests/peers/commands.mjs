// Commands on standard input, a JSON object a line; the answer to each on standard output with the
// command's `id`. `answer` gives or promises what is said of one.
import readline from "node:readline";

export function serve(answer) {
  readline.createInterface({ input: process.stdin }).on("line", async (line) => {
    const command = JSON.parse(line);
    let said;
    try {
      said = await answer(command);
    } catch (error) {
      said = { failed: String(error) };
    }
    console.log(JSON.stringify({ id: command.id, ...said }));
  });
  console.log("ready");
}
