// npm run bench: Polypeer beside rust-libp2p (native) and js-libp2p (Node and
// Chromium), each against itself, in turns, on one machine over loopback.
import { figures, pairs } from './pairs.mjs'
import { startSides } from './sides.mjs'
import { trials } from './trials.mjs'

/** A figure is the best of this many runs: what else the machine does can only make it worse. */
const runs = 5

/** The report; `only` limits it to the rows whose name contains it, `large` adds networks of thousands. */
export async function bench({ only = '', quick = false, large = false, progress = () => {} } = {}) {
  const wanted = (pair, figure) => rowName(pair, figure).toLowerCase().includes(only.toLowerCase())
  const rows = []
  const failures = []
  for (const pair of pairs) {
    if (pair.large && !large) continue
    const chosen = pair.trials.filter((name) => trials[name].yields.some((figure) => wanted(pair, figure)))
    if (chosen.length === 0) continue
    const sides = await startSides(pair)
    const best = [{}, {}]
    try {
      for (const name of chosen) {
        const times = quick || trials[name].once ? 1 : runs
        for (let index = 0; index < times * sides.length; index++) {
          const which = index % sides.length
          if (trials[name].ownOnly && which > 0) continue
          const who = which === 0 ? 'polypeer' : pair.peer
          try {
            const measured = await trials[name].run({ side: sides[which], pair, scale: quick ? 1 / 8 : 1 })
            progress(`${pair.name}: ${name}: ${who}: ${describe(measured)}`)
            keep(best[which], measured)
          } catch (error) {
            failures.push(`${pair.name}: ${name}: ${who}: ${error.message}`)
            progress(failures.at(-1))
          }
        }
      }
    } finally {
      for (const side of sides) await side.close()
    }
    for (const figure of Object.keys(figures)) {
      const row = wanted(pair, figure) && makeRow(pair, figure, best)
      if (row) rows.push(row)
    }
  }
  return { rows, failures }
}

const rowName = (pair, figure) => `${pair.name}: ${figures[figure].name}`

const isMore = (figure) => figures[figure]?.more ?? figure === 'plain'

function keep(best, measured) {
  for (const [figure, value] of Object.entries(measured)) {
    if (!Number.isFinite(value)) continue
    const before = best[figure] ?? value
    best[figure] = isMore(figure) ? Math.max(before, value) : Math.min(before, value)
  }
}

function makeRow(pair, figure, [ours, theirs]) {
  const [polypeer, peerValue, peer] =
    figure === 'ceiling' ? [ours.upload, ours.plain, pair.plain] : [ours[figure], theirs[figure], pair.peer]
  if (polypeer === undefined || peerValue === undefined) return undefined
  const ratio = isMore(figure) ? polypeer / peerValue : peerValue / polypeer
  return { name: rowName(pair, figure), unit: figures[figure].unit, polypeer, peer, peerValue, ratio }
}

const describe = (measured) =>
  Object.entries(measured)
    .filter(([, value]) => Number.isFinite(value))
    .map(([figure, value]) => `${figure} ${value.toPrecision(4)} ${figures[figure]?.unit ?? 'MiB/s'}`)
    .join(', ')
