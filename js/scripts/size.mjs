// npm run size [-- --json]: what a page loads, JavaScript and wasm together, and
// what the module is made of. Fails when the smallest page is over its budget.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { brotliCompressSync, constants, gzipSync } from 'node:zlib'
import { build } from 'esbuild'
import { targetFolder } from '../../scripts/lib.mjs'
import { parts } from './wasm-parts.mjs'

/** Bytes, brotli -q 11, of the page with WebSocket, Noise, Yamux, identify and ping. */
const BUDGET = 90_000

const folder = fileURLToPath(new URL('..', import.meta.url))
const pages = {
  mini: {
    script: `import { createNode } from 'polypeer/mini'; globalThis.node = await createNode()`,
    wasm: 'mini_bg.wasm',
  },
  full: {
    script: `import * as polypeer from 'polypeer'; globalThis.polypeer = polypeer`,
    wasm: 'core_bg.wasm',
  },
}

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

async function script(contents) {
  const { outputFiles } = await build({
    stdin: { contents, resolveDir: folder },
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

if (process.argv.includes('--json')) console.log(JSON.stringify({ bundles }))
else {
  const row = (name, { raw, gzip, brotli }) =>
    console.log(name.padEnd(20), ...[raw, gzip, brotli].map((size) => String(size).padStart(10)))
  console.log(''.padEnd(20), ...['raw', 'gzip -9', 'brotli 11'].map((title) => title.padStart(10)))
  for (const [name, total] of Object.entries(bundles)) {
    row(name, total)
    for (const [part, size] of Object.entries(detail[name])) row(`  ${part}`, size)
  }
  const { crates, functions } = parts(
    readFileSync(join(targetFolder, 'wasm32-unknown-unknown/wasm/polypeer_js.wasm')),
  )
  console.log('\nThe biggest parts of the full module before wasm-opt, in bytes:')
  for (const { name, size } of crates.slice(0, 15)) console.log(String(size).padStart(8), name)
  console.log('\nIts biggest functions:')
  for (const { name, size } of functions.slice(0, 15)) console.log(String(size).padStart(8), name)
}

if (bundles.mini.brotli > BUDGET) {
  console.error(`mini is ${bundles.mini.brotli} bytes: over its budget of ${BUDGET}`)
  process.exitCode = 1
}
