// The browsers that the tests run in, each driven in its own way and all used in one.
import { describe } from 'node:test'
import { browsers, findBrowser } from '../../scripts/browsers.mjs'
import { openChromium } from './browsers/chromium.mjs'
import { openFirefox } from './browsers/firefox.mjs'
import { openWebkit } from './browsers/webkit.mjs'

const open = { Chromium: openChromium, Firefox: openFirefox, WebKit: openWebkit }

/**
 * Starts a browser by name: `{ version, newPage, close }`. A page has `goto`, `reload`,
 * `close` and `evaluate(action, argument)`, which runs a function in it; the argument and
 * what it answers are plain data.
 */
export function openBrowser(name) {
  const path = findBrowser(name)
  if (path === undefined) throw new Error(`${name} is not installed`)
  return open[name](path)
}

/**
 * Runs `suite` with the name of each browser, or of `only` some, or of those that have
 * WebRTC, and whether it has; one that is not there is said to be skipped.
 */
export function inEachBrowser(title, { webrtc, only = Object.keys(browsers), ...options }, suite) {
  for (const name of only) {
    const { withoutWebrtc } = browsers[name]
    if (webrtc && withoutWebrtc) continue
    // Those that must be there are, by the setup.
    const skip = findBrowser(name) === undefined && `${name} is not installed`
    describe(`${name}: ${title}`, { ...options, skip }, () => suite(name, { webrtc: !withoutWebrtc }))
  }
}
