// npm run bench [-- --json] [-- --quick] [-- --only NAME]: speed and memory beside
// rust-libp2p and js-libp2p. A ratio above 1 means that Polypeer is better.
import { parseArgs } from 'node:util'
import { build } from './build.mjs'
import { entry, heading, say } from './lib.mjs'
import { buildPeers } from './peers.mjs'
import { setup } from './setup.mjs'

await entry(async () => {
  const { values } = parseArgs({
    options: { json: { type: 'boolean' }, quick: { type: 'boolean' }, only: { type: 'string' } },
  })
  await setup({ tests: true })
  await build({ tests: true })
  await buildPeers({ go: false })
  heading('Bench')
  const { bench } = await import('../tests/bench/run.mjs')
  const report = await bench({ ...values, progress: (text) => say(`  ${text}`) })
  if (values.json) process.stdout.write(`${JSON.stringify(report)}\n`)
  else print(report)
})

function print({ rows }) {
  const number = (value) => (value === null ? '-' : value.toFixed(value < 10 ? 2 : value < 100 ? 1 : 0))
  const cells = rows.map(({ name, unit, polypeer, peer, peerValue, ratio }) => [
    name,
    `${number(polypeer)} ${unit}`,
    `${peer} ${number(peerValue)}`,
    ratio === null ? '-' : `× ${ratio.toFixed(2)}`,
  ])
  const widths = [0, 1, 2, 3].map((column) => Math.max(...cells.map((row) => row[column].length)))
  for (const row of cells) {
    const [name, ...rest] = row
    const padded = rest.map((text, index) => text.padStart(widths[index + 1]))
    process.stdout.write(`${name.padEnd(widths[0])}  ${padded.join('  ')}\n`)
  }
}
