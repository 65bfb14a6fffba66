// A site on loopback with the tests' pages and workers, and Chromium to open them in.
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { chromium } from 'playwright-core'
import { findChromium } from '../../../scripts/chromium.mjs'

const flags = [
  '--no-sandbox',
  '--disable-gpu',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  // Two pages of one machine find each other without multicast names.
  '--disable-features=WebRtcHideLocalIpsWithMdns',
  '--allow-loopback-in-peer-connection',
]

const here = (path) => fileURLToPath(new URL(path, import.meta.url))

/** Scripts by name, each bundled; each has a page of its name, and `page` is the one at `/`. */
export async function openSite(names) {
  const files = new Map()
  const types = { js: 'text/javascript', wasm: 'application/wasm', html: 'text/html' }
  const { outputFiles } = await build({
    entryPoints: Object.fromEntries(names.map((name) => [name, here(`${name}.mjs`)])),
    bundle: true,
    format: 'esm',
    target: 'es2022',
    write: false,
    outdir: '/app/dist',
  })
  for (const { path, text } of outputFiles)
    files.set(path.replaceAll('\\', '/').replace(/^[A-Z]:/i, ''), text)
  for (const name of names)
    files.set(`/${name}.html`, `<!doctype html><script type="module" src="/app/dist/${name}.js"></script>`)
  files.set('/', files.get('/page.html'))
  for (const name of ['core', 'mini'])
    files.set(`/generated/${name}_bg.wasm`, await readFile(here(`../../generated/${name}_bg.wasm`)))

  const http = createServer(({ url }, response) => {
    const file = files.get(url)
    const type = types[url.split('.').pop()] ?? types.html
    response.writeHead(file === undefined ? 404 : 200, { 'content-type': type }).end(file)
  })
  await new Promise((resolve) => http.listen(0, '127.0.0.1', resolve))
  const browser = await chromium.launch({ executablePath: findChromium(), args: flags })
  const context = await browser.newContext()
  const problems = []
  return {
    files,
    types,
    problems,
    /** Opens a page; `before` runs in it before its script does. */
    async open(path = '/', before) {
      const page = await context.newPage()
      page.on('pageerror', (error) => problems.push(error))
      if (before !== undefined) await page.addInitScript(before)
      await page.goto(`http://127.0.0.1:${http.address().port}${path}`)
      await page.waitForFunction('globalThis.isReady')
      return page
    },
    async close() {
      await browser.close()
      http.close()
    },
  }
}
