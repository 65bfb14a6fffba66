// Finds the browsers for the tests, or installs Debian's. Chromium is needed; without
// the others the tests in them are skipped, but not in continuous integration.
import { homedir } from 'node:os'
import { join } from 'node:path'
import { Failure, inCi, isExecutable, which } from './lib.mjs'
import { aptInstall } from './wasm-toolchain.mjs'

const applications = ['/Applications', join(homedir(), 'Applications')]
const programs = ['C:\\Program Files', 'C:\\Program Files (x86)']

/**
 * In the order of the tests. `variables` name the program; `needs` are others beside it;
 * `withoutWebrtc` are those whose pages have none.
 */
export const browsers = {
  Chromium: {
    variables: ['CHROME', 'CHROMIUM'],
    names: ['chromium', 'chromium-browser', 'google-chrome-stable', 'google-chrome', 'chrome'],
    places: [
      ...applications.map((folder) => `${folder}/Google Chrome.app/Contents/MacOS/Google Chrome`),
      ...applications.map((folder) => `${folder}/Chromium.app/Contents/MacOS/Chromium`),
      ...programs.map((folder) => `${folder}\\Google\\Chrome\\Application\\chrome.exe`),
    ],
    packages: ['chromium'],
    required: true,
  },
  Firefox: {
    variables: ['FIREFOX'],
    names: ['firefox', 'firefox-esr'],
    places: [
      ...applications.map((folder) => `${folder}/Firefox.app/Contents/MacOS/firefox`),
      ...programs.map((folder) => `${folder}\\Mozilla Firefox\\firefox.exe`),
    ],
    packages: ['firefox-esr'],
  },
  // That of GTK, which needs a screen; the name is that of its driver. Debian builds it
  // without WebRTC.
  WebKit: {
    variables: ['WEBKIT_DRIVER'],
    names: ['WebKitWebDriver'],
    places: [],
    needs: ['Xvfb'],
    packages: ['webkit2gtk-driver', 'xvfb'],
    withoutWebrtc: true,
  },
}

/** The path of a browser: what its variable names, else one of the usual places. */
export function findBrowser(name) {
  const { variables, names, places, needs = [] } = browsers[name]
  if (!needs.every(which)) return undefined
  const wanted = variables.map((variable) => process.env[variable]).find(Boolean)
  if (wanted) return isExecutable(wanted) ? wanted : which(wanted)
  return names.map(which).find(Boolean) ?? places.find(isExecutable)
}

/** The same, installed when it is missing; undefined if the tests can do without it. */
export async function browser(name) {
  const { variables, packages, required } = browsers[name]
  const found = findBrowser(name)
  if (found) return found
  const needed = required || inCi
  if (which('apt-get') && process.getuid?.() === 0) {
    await aptInstall(packages).catch((error) => {
      if (needed) throw error
    })
    const installed = findBrowser(name)
    if (installed) return installed
  }
  if (needed) {
    throw new Failure(
      `The tests need ${name} and none was found.\n` +
        `  Install it (Debian: ${packages.join(' ')}), or name it: ${variables[0]}=/path/to/it npm test`,
    )
  }
}
