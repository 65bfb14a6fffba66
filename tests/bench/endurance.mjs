// What takes too long for a test: streams by the million over one WebRTC connection, and
// gigabytes through one stream. Run by name, on what `npm test -- interop` has built:
//   node tests/bench/endurance.mjs [TEXT] [--scale 0.01] [--sequential]
// runs those whose name contains TEXT, with less of each if told, and with no streams side
// by side (in pages alone); a failure ends with 1.
import { parseArgs } from 'node:util'
import { openPage } from '../lib/browser.mjs'
import { openBrowser } from '../lib/browsers.mjs'
import { ask, listen } from '../lib/peers.mjs'
import { residentKiB } from './process.mjs'

const GiB = 2 ** 30
const MiB = 2 ** 20

/** Browsers, whose pages are peers of ours. */
const pages = ['Chromium', 'Firefox']

/** Listener and dialer, one of them ours. */
const streaming = [
  ['polypeer-native', 'polypeer-native'],
  ['polypeer-native', 'polypeer-node'],
  ['polypeer-node', 'polypeer-native'],
  ...pages.map((page) => ['polypeer-native', page]),
]
const transferring = [
  ['polypeer-native', 'polypeer-node'],
  ...pages.map((page) => ['polypeer-native', page]),
  ...['go', 'js-node', 'rust'].flatMap((listener) => [
    [listener, 'polypeer-native'],
    [listener, 'polypeer-node'],
    [listener, 'Chromium'],
  ]),
]

const runs = [
  ...streaming.map(([listener, dialer]) => ({
    name: `a million streams, ${dialer} to ${listener}`,
    listener,
    dialer,
    async run(command, { scale, sequential: alone }) {
      const options = { count: Math.ceil(1e6 * scale), ...(alone && { together: 0 }) }
      const { count, sequential, parallel } = await command('streams', options)
      const rate = (seconds) => `${Math.round(count / seconds)} a second`
      const first = `${count} one after another (${rate(sequential)})`
      return alone ? first : `${first}, then ${count} with 64 in flight (${rate(parallel)})`
    },
  })),
  ...transferring.map(([listener, dialer]) => ({
    name: `a gigabyte each way, ${dialer} to ${listener}`,
    listener,
    dialer,
    async run(command, { scale }) {
      const bytes = Math.ceil(GiB * scale)
      const { upload, download } = await command('perf', { upload: bytes, download: bytes })
      const rate = ({ seconds }) => `${(bytes / MiB / seconds).toFixed(1)} MiB/s`
      return `${bytes} bytes up at ${rate(upload)}, as many down at ${rate(download)}`
    },
  })),
]

/** Runs one; what it printed, and the memory of a listener of ours before and after. */
async function endure({ listener, dialer, run }, how) {
  const { pid, address, close } = await listen(listener, 'webrtc-direct')
  const before = residentKiB(pid)
  const browser = pages.includes(dialer) ? await openBrowser(dialer) : undefined
  const page = browser && (await openPage(browser, 'polypeer', 'page'))
  try {
    const command = (name, options) =>
      page ? page.run(name, address, options) : ask(dialer, name, address, options)
    const report = await run(command, how)
    return `${report}; memory of the listener ${before} KiB before, ${residentKiB(pid)} KiB after`
  } finally {
    await page?.close()
    await browser?.close()
    await close()
  }
}

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: { scale: { type: 'string', default: '1' }, sequential: { type: 'boolean' } },
})
const wanted = runs.filter(({ name }) => name.includes(positionals[0] ?? ''))
for (const one of wanted) {
  try {
    console.log(`${one.name}: ${await endure(one, { ...values, scale: Number(values.scale) })}`)
  } catch (error) {
    console.log(`${one.name} FAILED: ${error.message}`)
    process.exitCode = 1
  }
}
if (wanted.length === 0) throw new Error(`no run has ${JSON.stringify(positionals[0])} in its name`)
