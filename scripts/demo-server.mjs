// The server of the demo as a child of this process.
import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { built, Failure, say } from './lib.mjs'

/**
 * Runs `polypeer serve` on loopback with the key in the file `key`, which it makes
 * if there is none. Resolves when it listens, with its `peer` and `addresses`,
 * `stop(signal)`, and `ended`, which resolves with its exit code or signal.
 * `hear` is called with what it reports from then on.
 */
export function startServer(key, hear = () => {}) {
  const program = built('polypeer')
  const child = spawn(
    program,
    [
      ...['--json', 'serve', '--key', key],
      ...['--listen', '/ip4/127.0.0.1/tcp/0', '--listen', '/ip4/127.0.0.1/tcp/0/ws'],
    ],
    { stdio: ['ignore', 'pipe', 'pipe'] },
  )
  let reason
  createInterface({ input: child.stderr }).on('line', (line) => {
    const { error, warning } = parsed(line)
    if (error) reason = error.message
    else say(`  ${warning ?? line}`)
  })
  const ended = new Promise((resolve) => child.on('close', (code, signal) => resolve(signal ?? code)))
  return new Promise((resolve, reject) => {
    child.on('error', (error) => reject(new Failure(`${program} cannot be run: ${error.message}`)))
    ended.then((end) => reject(new Failure(`the server did not start: ${reason ?? `it ended with ${end}`}`)))
    createInterface({ input: child.stdout }).on('line', (line) => {
      const event = parsed(line)
      if (event.event !== 'listening') return hear(event)
      const stop = (signal = 'SIGTERM') => {
        child.kill(signal)
        return ended
      }
      resolve({ peer: event.peer, addresses: event.addresses, ended, stop })
    })
  })
}

/** A line as an object; an empty one if it is something else, such as the words of a panic. */
function parsed(line) {
  try {
    return Object(JSON.parse(line))
  } catch {
    return {}
  }
}
