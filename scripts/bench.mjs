// npm run bench: speed and memory beside rust-libp2p and js-libp2p. A ratio above 1
// means that Polypeer is better.
import { availableParallelism, loadavg } from 'node:os'
import { parseArgs } from 'node:util'
import { build } from './build.mjs'
import { entry, Failure, heading, say } from './lib.mjs'
import { buildPeers } from './peers.mjs'
import { setup } from './setup.mjs'

const help = `npm run bench -- [OPTIONS]: speed and memory beside rust-libp2p and js-libp2p

  --only TEXT  the rows alone whose name contains TEXT
  --quick      once instead of five times, with an eighth of the work
  --large      a DHT of 1,000 peers, too: half an hour and 8 GiB of memory
  --no-build   with what was built before
  --json       the rows as JSON too
  --help       this`

/** What was asked for; a wrong option is the user's to mend. */
function options() {
  try {
    return parseArgs({
      options: {
        json: { type: 'boolean' },
        quick: { type: 'boolean' },
        large: { type: 'boolean' },
        only: { type: 'string' },
        'no-build': { type: 'boolean' },
        help: { type: 'boolean' },
      },
    }).values
  } catch (error) {
    throw new Failure(`${error.message}\n\n${help}`)
  }
}

await entry(async () => {
  const values = options()
  if (values.help) return say(help)
  if (!values['no-build']) {
    await setup({ tests: true })
    await build({ tests: true })
    await buildPeers({ go: false })
  }
  heading('Bench')
  const load = loadavg()[0]
  if (load > 0.5) {
    say(`  The machine is busy (load ${load.toFixed(1)} on ${availableParallelism()} processors):`)
    say('  the ratios still say something, the figures little.')
  }
  const { bench } = await import('../tests/bench/run.mjs')
  const { rows, failures } = await bench({ ...values, progress: (text) => say(`  ${text}`) })
  if (values.json) process.stdout.write(`${JSON.stringify({ rows })}\n`)
  else print(rows)
  if (failures.length > 0)
    throw new Failure(`${failures.length} measurements failed:\n  ${failures.join('\n  ')}`)
  if (rows.length === 0) throw new Failure(`no row has ${JSON.stringify(values.only)} in its name`)
})

function print(rows) {
  const number = (value) => value.toFixed(value < 10 ? 2 : value < 100 ? 1 : 0)
  const table = rows.map(({ name, unit, polypeer, peer, peerValue, ratio }) => [
    name,
    `${number(polypeer)} ${unit}`.trim(),
    `${peer} ${number(peerValue)}`,
    `× ${ratio.toFixed(2)}`,
  ])
  const widths = [0, 1, 2, 3].map((column) => Math.max(0, ...table.map((row) => row[column].length)))
  for (const [name, ...cells] of table) {
    const padded = cells.map((text, index) => text.padStart(widths[index + 1]))
    process.stdout.write(`${name.padEnd(widths[0])}  ${padded.join('  ')}\n`)
  }
}
