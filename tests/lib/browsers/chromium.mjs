// Chromium, by Playwright.
import { chromium as engine } from 'playwright-core'
import { browser } from '../../../scripts/browsers.mjs'

/** Chromium as Playwright has it; `more` are arguments of its command line. */
export async function launch(more = []) {
  return engine.launch({
    executablePath: await browser('Chromium'),
    args: [
      ...more,
      ...(process.getuid?.() === 0 ? ['--no-sandbox'] : []),
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      // Two pages of one machine find each other without multicast names.
      '--disable-features=WebRtcHideLocalIpsWithMdns',
      '--allow-loopback-in-peer-connection',
    ],
  })
}

/** See {@link openBrowser}. */
export async function openChromium() {
  const started = await launch()
  const context = await started.newContext()
  return {
    version: started.version(),
    newPage: () => context.newPage(),
    close: () => started.close(),
  }
}
