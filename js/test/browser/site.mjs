// A site on loopback with the tests' pages and workers, and a browser to open them in.
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { openBrowser } from '../../../tests/lib/browsers.mjs'
import { turns } from '../support.mjs'

/** Resolves once `condition` holds in a page; the test's own time limit is the bound. */
export async function inPage(page, condition, argument) {
  while (!(await page.evaluate(condition, argument))) await turns(20)
}

/** Resolves once the script of a page has run. */
export const ready = (page) => inPage(page, () => globalThis.isReady === true)

const here = (path) => fileURLToPath(new URL(path, import.meta.url))

/** Tells the site of what nobody caught. */
const watch = () => {
  const tell = (error) => navigator.sendBeacon('/problem', `${error}\n${error?.stack}`)
  addEventListener('error', ({ error, message }) => tell(error ?? message))
  addEventListener('unhandledrejection', ({ reason }) => tell(reason))
}

/**
 * Scripts by name, each bundled; each has a page of its name.
 * They are opened in the browser of that name.
 */
export async function openSite(browserName, names) {
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
  const page = (name, before = '') =>
    `<!doctype html><script>(${watch})();${before}</script><script type="module" src="/app/dist/${name}.js"></script>`
  for (const name of ['core', 'mini'])
    files.set(`/generated/${name}_bg.wasm`, await readFile(here(`../../generated/${name}_bg.wasm`)))

  const problems = []
  const http = createServer(async (request, response) => {
    const { pathname, searchParams } = new URL(request.url, 'http://localhost')
    if (pathname === '/problem') {
      problems.push(await text(request))
      response.end()
      return
    }
    const [, name] = /^\/(\w+)\.html$/.exec(pathname) ?? []
    const file = names.includes(name) ? page(name, searchParams.get('before') ?? '') : files.get(pathname)
    const type = types[pathname.split('.').pop()] ?? types.html
    response.writeHead(file === undefined ? 404 : 200, { 'content-type': type }).end(file)
  })
  await new Promise((resolve) => http.listen(0, '127.0.0.1', resolve))
  const browser = await openBrowser(browserName)
  return {
    files,
    types,
    problems,
    /** Opens the page of a script; `before` runs in it before the script does. */
    async open(name, before) {
      const page = await browser.newPage()
      const url = new URL(`http://127.0.0.1:${http.address().port}/${name}.html`)
      if (before !== undefined) url.searchParams.set('before', `(${before})()`)
      await page.goto(url.href)
      await ready(page)
      return page
    },
    async close() {
      await browser.close()
      http.close()
    },
  }
}
