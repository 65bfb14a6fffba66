// npm run bench: Polypeer beside rust-libp2p (native) and js-libp2p (Node and
// Chromium), each against itself, in one run on one machine, loopback.
import { readFileSync } from 'node:fs'
import { launch, openPage } from '../lib/browser.mjs'
import { ask, hold, listen } from '../lib/peers.mjs'

const MiB = 1 << 20

/** A measurement is the median of this many runs. */
const runs = 3

/**
 * The pairs that are measured: who against whom, over what, how many bytes and how
 * often. A page cannot be dialed: its listener is the same for both sides.
 */
const pairs = [
  {
    name: 'native TCP',
    ours: 'polypeer-native',
    theirs: 'rust',
    peer: 'rust-libp2p',
    transport: 'tcp',
    bytes: 1024 * MiB,
    count: 2000,
  },
  {
    name: 'native WebSocket',
    ours: 'polypeer-native',
    theirs: 'rust',
    peer: 'rust-libp2p',
    transport: 'ws',
    bytes: 512 * MiB,
    count: 2000,
  },
  {
    name: 'Node TCP',
    ours: 'polypeer-node',
    theirs: 'js-node',
    peer: 'js-libp2p',
    transport: 'tcp',
    bytes: 256 * MiB,
    count: 1000,
  },
  {
    name: 'Node WebSocket',
    ours: 'polypeer-node',
    theirs: 'js-node',
    peer: 'js-libp2p',
    transport: 'ws',
    bytes: 128 * MiB,
    count: 1000,
  },
  {
    name: 'Chromium WebSocket',
    ours: 'polypeer',
    theirs: 'js',
    peer: 'js-libp2p',
    page: 'polypeer-native',
    transport: 'ws',
    bytes: 64 * MiB,
    count: 500,
  },
]

/** Idle connections that are held to see what one costs the listener. */
const idleConnections = 500

/** Every row of the report; `only` limits them to pairs whose name contains it. */
export async function bench({ only = '', quick = false, progress = () => {} } = {}) {
  const rows = []
  for (const pair of pairs.filter(({ name }) => name.toLowerCase().includes(only.toLowerCase()))) {
    const measured = {}
    for (const side of ['ours', 'theirs']) {
      progress(`${pair.name}: ${side === 'ours' ? 'polypeer' : pair.peer}`)
      try {
        measured[side] = await measure(pair, side, quick)
      } catch (error) {
        progress(`  failed: ${error.message}`)
        measured[side] = {}
      }
    }
    for (const { key, name, unit, better } of measures) {
      const polypeer = measured.ours[key]
      const peerValue = measured.theirs[key]
      if (polypeer === undefined && peerValue === undefined) continue
      const ratio = better === 'more' ? polypeer / peerValue : peerValue / polypeer
      rows.push({
        name: `${pair.name}, ${name}`,
        unit,
        polypeer: polypeer ?? null,
        peer: pair.peer,
        peerValue: peerValue ?? null,
        ratio: Number.isFinite(ratio) ? ratio : null,
      })
    }
  }
  return { rows }
}

const measures = [
  { key: 'upload', name: 'upload', unit: 'MiB/s', better: 'more' },
  { key: 'download', name: 'download', unit: 'MiB/s', better: 'more' },
  { key: 'sequential', name: 'streams one after another', unit: '1/s', better: 'more' },
  { key: 'parallel', name: 'streams, 64 in flight', unit: '1/s', better: 'more' },
  { key: 'handshakes', name: 'connections', unit: '1/s', better: 'more' },
  { key: 'idle', name: 'memory an idle connection', unit: 'KiB', better: 'less' },
]

async function measure(pair, side, quick) {
  const bytes = quick ? pair.bytes / 8 : pair.bytes
  const count = quick ? pair.count / 10 : pair.count
  const listener = pair.page ?? pair[side]
  const { address, close } = await listen(listener, pair.transport)
  const { run, end } = await dialer(pair, side)
  try {
    const ups = []
    const downs = []
    for (let index = 0; index < (quick ? 1 : runs); index++) {
      const { upload, download } = await run('perf', address, { upload: bytes, download: bytes })
      ups.push(bytes / MiB / upload.seconds)
      downs.push(bytes / MiB / download.seconds)
    }
    const streams = await run('streams', address, { count })
    const handshakes = await run('handshakes', address, { count: Math.ceil(count / 5) })
    return {
      upload: median(ups),
      download: median(downs),
      sequential: streams.count / streams.sequential,
      parallel: streams.count / streams.parallel,
      handshakes: handshakes.count / handshakes.seconds,
      idle: pair.page ? undefined : await idle(listener, pair.transport),
    }
  } finally {
    await end()
    await close()
  }
}

/** What runs a dialer's commands: a program a command, or a page. */
async function dialer(pair, side) {
  if (!pair.page) return { run: (...args) => ask(pair[side], ...args), end: () => {} }
  const browser = await launch()
  const page = await openPage(browser, pair[side])
  return {
    run: page.run,
    async end() {
      await page.close()
      await browser.close()
    },
  }
}

/** KiB that one more idle connection costs a fresh listener. Linux only. */
async function idle(listener, transport) {
  if (process.platform !== 'linux') return undefined
  const { address, pid, close } = await listen(listener, transport)
  try {
    // The first ones pay for what is made once.
    const first = await hold('polypeer-native', address, 50)
    const before = residentKiB(pid)
    const more = await hold('polypeer-native', address, idleConnections)
    const after = residentKiB(pid)
    await Promise.all([first.close(), more.close()])
    return (after - before) / idleConnections
  } finally {
    await close()
  }
}

const residentKiB = (pid) => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1])
const median = (values) => values.sort((a, b) => a - b)[Math.floor(values.length / 2)]
