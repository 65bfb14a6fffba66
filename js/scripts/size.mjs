// npm run size [-- --json]: what a page loads, JavaScript and wasm together, beside a
// page of js-libp2p, and what the module is made of. Fails when a page is over its budget.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { brotliCompressSync, constants, gzipSync } from 'node:zlib'
import { build } from 'esbuild'
import { targetFolder } from '../../scripts/lib.mjs'
import { parts } from './wasm-parts.mjs'

const folder = fileURLToPath(new URL('..', import.meta.url))
/** The budgets are bytes, brotli -q 11, of JavaScript and wasm together. */
const pages = {
  /** WebSocket, Noise, Yamux, identify and ping. */
  mini: {
    script: `import { createNode } from 'polypeer/mini'; globalThis.node = await createNode()`,
    wasm: 'mini_bg.wasm',
    budget: 90_000,
  },
  /** What {@link libp2p} has: beside that, the WebSocket and all else are in any node. */
  page: {
    script: `
import { createNode } from 'polypeer'
globalThis.node = await createNode({ dht: true, pubsub: {}, listen: ['/p2p-circuit', '/webrtc'] })`,
    wasm: 'core_bg.wasm',
    budget: 276_000,
  },
  /** All that the package exports for pages. */
  full: {
    script: `import * as polypeer from 'polypeer'; globalThis.polypeer = polypeer`,
    wasm: 'core_bg.wasm',
    budget: 280_000,
  },
}

/**
 * A page of js-libp2p with what our page has of it. Our module has more in it, which a page
 * cannot leave out: a peer store that can be kept, rendezvous, IPNS, the search for peers of
 * topics, versions of protocols, limits of streams and memory, filters and bandwidth.
 */
const libp2p = `
import { circuitRelayTransport } from '@libp2p/circuit-relay-v2'
import { gossipsub } from '@libp2p/gossipsub'
import { identify, identifyPush } from '@libp2p/identify'
import { kadDHT } from '@libp2p/kad-dht'
import { noise } from '@libp2p/noise'
import { ping } from '@libp2p/ping'
import { webRTC, webRTCDirect } from '@libp2p/webrtc'
import { webSockets } from '@libp2p/websockets'
import { yamux } from '@libp2p/yamux'
import { createLibp2p } from 'libp2p'

globalThis.node = await createLibp2p({
  transports: [webSockets(), webRTC(), webRTCDirect(), circuitRelayTransport()],
  connectionEncrypters: [noise()],
  streamMuxers: [yamux()],
  services: {
    dht: kadDHT({ clientMode: true }),
    identify: identify(),
    identifyPush: identifyPush(),
    ping: ping(),
    pubsub: gossipsub(),
  },
})`

const sizes = (bytes) => ({
  raw: bytes.length,
  gzip: gzipSync(bytes, { level: 9 }).length,
  brotli: brotliCompressSync(bytes, {
    params: {
      [constants.BROTLI_PARAM_QUALITY]: 11,
      [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length,
    },
  }).length,
})

async function script(contents, resolveDir = folder) {
  const { outputFiles } = await build({
    stdin: { contents, resolveDir },
    bundle: true,
    minify: true,
    format: 'esm',
    target: 'es2022',
    write: false,
  })
  return outputFiles[0].contents
}

const bundles = {}
const detail = {}
for (const [name, page] of Object.entries(pages)) {
  const javascript = sizes(await script(page.script))
  const module = sizes(readFileSync(join(folder, 'generated', page.wasm)))
  detail[name] = { JavaScript: javascript, wasm: module }
  bundles[name] = {
    raw: javascript.raw + module.raw,
    gzip: javascript.gzip + module.gzip,
    brotli: javascript.brotli + module.brotli,
  }
}

const others = { 'js-libp2p': sizes(await script(libp2p, join(folder, '../tests'))) }

if (process.argv.includes('--json')) console.log(JSON.stringify({ bundles, others }))
else {
  const row = (name, { raw, gzip, brotli }) =>
    console.log(name.padEnd(20), ...[raw, gzip, brotli].map((size) => String(size).padStart(10)))
  console.log(''.padEnd(20), ...['raw', 'gzip -9', 'brotli 11'].map((title) => title.padStart(10)))
  for (const [name, total] of Object.entries(bundles)) {
    row(name, total)
    for (const [part, size] of Object.entries(detail[name])) row(`  ${part}`, size)
  }
  for (const [name, total] of Object.entries(others)) {
    row(name, total)
    console.log(
      `page is ${(bundles.page.brotli / total.brotli).toFixed(2)} times as large as ${name} (brotli)`,
    )
  }
  const { crates, functions } = parts(
    readFileSync(join(targetFolder, 'wasm32-unknown-unknown/wasm/polypeer_js.wasm')),
  )
  console.log('\nThe biggest parts of the full module before wasm-opt, in bytes:')
  for (const { name, size } of crates.slice(0, 15)) console.log(String(size).padStart(8), name)
  console.log('\nIts biggest functions:')
  for (const { name, size } of functions.slice(0, 15)) console.log(String(size).padStart(8), name)
}

for (const [name, { budget }] of Object.entries(pages)) {
  if (bundles[name].brotli <= budget) continue
  console.error(`${name} is ${bundles[name].brotli} bytes: over its budget of ${budget}`)
  process.exitCode = 1
}
