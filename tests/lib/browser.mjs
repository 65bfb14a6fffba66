// Chromium for tests: one browser, pages served from loopback (a secure context,
// so that WebCrypto is there), scripts bundled by esbuild.
import { copyFile, mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { extname, join, normalize, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { chromium as engine } from 'playwright-core'
import { chromium } from '../../scripts/chromium.mjs'

const types = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript',
  '.mjs': 'text/javascript',
  '.css': 'text/css',
  '.json': 'application/json',
  '.svg': 'image/svg+xml',
  '.wasm': 'application/wasm',
}

export async function launch() {
  return engine.launch({
    executablePath: await chromium(),
    args: [
      ...(process.getuid?.() === 0 ? ['--no-sandbox'] : []),
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  })
}

/** Serves a folder on loopback; closing it ends it. */
export async function serveFolder(folder) {
  const server = createServer(async (request, response) => {
    const path = decodeURIComponent(new URL(request.url, 'http://localhost').pathname)
    const file = normalize(join(folder, path.endsWith('/') ? `${path}index.html` : path))
    try {
      if (!file.startsWith(normalize(folder) + sep)) throw new Error('outside of the folder')
      await stat(file)
      response.writeHead(200, { 'content-type': types[extname(file)] ?? 'application/octet-stream' })
      response.end(await readFile(file))
    } catch {
      response.writeHead(404).end()
    }
  })
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${server.address().port}/`,
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections()
        server.close(resolve)
      }),
  }
}

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
  await writeFile(join(folder, 'index.html'), '<!doctype html><script type="module" src="page.js"></script>')
  return { folder, remove: () => rm(folder, { recursive: true, force: true }) }
}

const tests = fileURLToPath(new URL('..', import.meta.url))
const wasm = join(tests, '../js/generated/core_bg.wasm')

/**
 * Opens a page with the test peer of `peer` ("js" or "polypeer"). `run` calls one of
 * the functions of peers/browser/page.mjs there; `close` closes all that belongs to it.
 */
export async function openPage(browser, peer) {
  const adapter = join(tests, 'peers', { js: 'js', polypeer: 'polypeer-node' }[peer], 'adapter.mjs')
  const bundle = await bundlePage(join(tests, 'peers/browser/page.mjs'), { alias: { adapter } })
  if (peer === 'polypeer') {
    // Where a bundler that knows no assets leaves the package looking for its module.
    await mkdir(join(bundle.folder, 'generated'))
    await copyFile(wasm, join(bundle.folder, 'generated/core_bg.wasm'))
  }
  const server = await serveFolder(bundle.folder)
  const page = await browser.newPage()
  const errors = []
  page.on('pageerror', (error) => errors.push(error.message))
  await page.goto(server.url)
  await page
    .waitForFunction(() => 'testPeer' in globalThis)
    .catch((error) => {
      throw new Error(`the page did not start: ${errors.join('; ')}`, { cause: error })
    })
  return {
    page,
    run: (name, ...args) => page.evaluate(([name, args]) => globalThis.testPeer[name](...args), [name, args]),
    async close() {
      await page.close()
      await server.close()
      await bundle.remove()
    },
  }
}
