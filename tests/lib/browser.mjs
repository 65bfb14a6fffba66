// Pages for tests: served from loopback (a secure context,
// so that WebCrypto is there), scripts bundled by esbuild.
import { copyFile, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { serveFolder } from '../../scripts/static-server.mjs'
import { launch } from './browsers/chromium.mjs'

export { launch }

/** Bundles `entry` for a page in a fresh folder: `{ folder, remove }`. */
export async function bundlePage(entry, { alias = {} } = {}) {
  const folder = await mkdtemp(join(tmpdir(), 'polypeer-page-'))
  await build({
    entryPoints: { page: entry },
    outdir: folder,
    bundle: true,
    format: 'esm',
    platform: 'browser',
    target: 'es2022',
    minify: true,
    alias,
    logLevel: 'error',
  })
  // What goes wrong before the script has run is kept for `openPage`.
  const watch = "addEventListener('error', ({ message }) => { globalThis.trouble = message })"
  const scripts = `<script>${watch}</script><script type="module" src="page.js"></script>`
  await writeFile(join(folder, 'index.html'), `<!doctype html>${scripts}`)
  return { folder, remove: () => rm(folder, { recursive: true, force: true }) }
}

const tests = fileURLToPath(new URL('..', import.meta.url))
const wasm = join(tests, '../js/generated/core_bg.wasm')

/**
 * Serves a page that is bundled from `entry` with the adapter of `peer` ("js" or
 * "polypeer"): the module `adapter`, or `page` for one with relays and WebRTC.
 */
export async function servePage(peer, entry, module = 'adapter') {
  const adapter = join(tests, 'peers', { js: 'js', polypeer: 'polypeer-node' }[peer], `${module}.mjs`)
  const bundle = await bundlePage(entry, { alias: { adapter } })
  if (peer === 'polypeer') {
    // Where a bundler that knows no assets leaves the package looking for its module.
    await mkdir(join(bundle.folder, 'generated'))
    await copyFile(wasm, join(bundle.folder, 'generated/core_bg.wasm'))
  }
  const server = await serveFolder(bundle.folder)
  return {
    url: server.url,
    async close() {
      await server.close()
      await bundle.remove()
    },
  }
}

/**
 * Opens a page with the test peer of `peer`, in any browser (see browsers.mjs). `run` calls one of the functions of
 * peers/browser/page.mjs, or of another script, there; `close` closes all that belongs to it.
 */
export async function openPage(browser, peer, module, script = 'page') {
  const served = await servePage(peer, join(tests, `peers/browser/${script}.mjs`), module)
  const page = await browser.newPage()
  await page.goto(served.url)
  for (;;) {
    const { started, trouble } = await page.evaluate(() => ({
      started: 'testPeer' in globalThis,
      trouble: globalThis.trouble,
    }))
    if (started) break
    if (trouble !== undefined) throw new Error(`the page did not start: ${trouble}`)
    await wait(20)
  }
  return {
    page,
    run: (name, ...args) => page.evaluate(([name, args]) => globalThis.testPeer[name](...args), [name, args]),
    async close() {
      await page.close()
      await served.close()
    },
  }
}
