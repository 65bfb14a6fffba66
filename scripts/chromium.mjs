// Finds a Chromium or Chrome for the tests, or installs Debian's.
import { homedir } from 'node:os'
import { join } from 'node:path'
import { Failure, isExecutable, which } from './lib.mjs'
import { aptInstall } from './wasm-toolchain.mjs'

const names = ['chromium', 'chromium-browser', 'google-chrome-stable', 'google-chrome', 'chrome']
const places = [
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
  '/Applications/Chromium.app/Contents/MacOS/Chromium',
  join(homedir(), 'Applications/Google Chrome.app/Contents/MacOS/Google Chrome'),
  'C:\\Program Files\\Google\\Chrome\\Application\\chrome.exe',
  'C:\\Program Files (x86)\\Google\\Chrome\\Application\\chrome.exe',
]

/** The path of a browser: CHROME or CHROMIUM if set, else one of the usual places. */
export function findChromium() {
  const wanted = process.env.CHROME ?? process.env.CHROMIUM
  if (wanted) return isExecutable(wanted) ? wanted : which(wanted)
  return names.map(which).find(Boolean) ?? places.find(isExecutable)
}

export async function chromium() {
  const found = findChromium()
  if (found) return found
  if (which('apt-get') && process.getuid?.() === 0) {
    await aptInstall(['chromium'])
    const installed = findChromium()
    if (installed) return installed
  }
  throw new Failure(
    'The tests need Chromium or Chrome and none was found.\n' +
      '  Install one, or name it: CHROME=/path/to/chrome npm test',
  )
}
