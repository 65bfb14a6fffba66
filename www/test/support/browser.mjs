// Chromium with the built page in it.
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { root } from '../../../scripts/lib.mjs'
import { serveFolder } from '../../../scripts/static-server.mjs'
import { launch as start } from '../../../tests/lib/browsers/chromium.mjs'

const dist = join(root, 'www/dist')

export async function launch(t) {
  const browser = await start()
  t.after(() => browser.close())
  return browser
}

/** Serves the page; `server()` is what `server.json` says. */
export async function servePage(t, server) {
  if (!existsSync(join(dist, 'index.html'))) throw new Error('build the page first: npm run build')
  const web = await serveFolder(dist, { extra: { '/server.json': server } })
  t.after(() => web.close())
  return web.url
}

/** Opens the page. `troubles` are errors that the page did not expect. */
export async function openPage(context, url, troubles = []) {
  const page = await context.newPage()
  // The test's own limit is the bound.
  page.setDefaultTimeout(0)
  page.on('pageerror', (error) => troubles.push(error.message))
  page.on('console', (message) => {
    if (message.text().includes('Content Security Policy')) troubles.push(message.text())
  })
  await page.goto(url)
  return page
}

export const connected = (page) => page.locator('#status[data-state=connected]').waitFor()

export const peerOf = (page) => page.locator('#you-id').getAttribute('data-peer')

export const nameOf = (page) => page.locator('#you-name').textContent()

export async function say(page, text) {
  await page.getByLabel('Your message').fill(text)
  await page.getByLabel('Your message').press('Enter')
}

/** The line with this text. */
export const line = (page, text) => page.locator('#log .line', { hasText: text })

/** Another page, as this one shows it: resolves when it is reached like that. */
export const reached = (page, peer, path) =>
  page.locator(`.peer[data-peer="${peer}"][data-path="${path}"]`).waitFor()
