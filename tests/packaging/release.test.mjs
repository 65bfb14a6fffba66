// From a bare machine to a connected browser, in one command: the packed program, fetched and
// run by its installer in an empty home, and a page of Chromium that uses the printed address.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { createReadStream } from 'node:fs'
import { appendFile, cp, mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { createInterface } from 'node:readline'
import { after, before, describe, test } from 'node:test'
import { built, isWindows } from '../../scripts/lib.mjs'
import { pack } from '../../scripts/release.mjs'
import { serveFolder } from '../../scripts/static-server.mjs'
import { launch, openPage } from '../lib/browser.mjs'

/** All that one command may take. */
const DEADLINE = 60_000

const LOOPBACK = ['tcp/0', 'tcp/0/ws', 'udp/0/webrtc-direct'].flatMap((at) => [
  '--listen',
  `/ip4/127.0.0.1/${at}`,
])

describe('a release', { skip: isWindows && 'the installer is a shell script' }, () => {
  let folder
  let archive
  let server
  let browser
  let page
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'polypeer-dist-'))
    archive = await pack(built('polypeer'), folder)
    server = await serveFolder(folder)
    browser = await launch()
    page = await openPage(browser, 'polypeer')
  })
  after(async () => {
    await page?.close()
    await browser?.close()
    await server?.close()
    if (folder) await rm(folder, { recursive: true, force: true })
  })

  /** An empty home, removed at the end of the test. */
  async function emptyHome(t) {
    const home = await mkdtemp(join(tmpdir(), 'polypeer-home-'))
    t.after(() => rm(home, { recursive: true, force: true }))
    return home
  }

  /** What `curl … | sh -s ARGUMENTS` does on a machine that has nothing of ours. */
  function install(home, args, from = server.url.slice(0, -1)) {
    const child = spawn('/bin/sh', ['-s', ...args], {
      cwd: home,
      env: { PATH: '/usr/bin:/bin', HOME: home, POLYPEER_FROM: from },
      stdio: ['pipe', 'pipe', 'pipe'],
    })
    // It need not read all of the script.
    child.stdin.on('error', () => {})
    createReadStream(join(folder, 'install.sh')).pipe(child.stdin)
    let errors = ''
    child.stderr.setEncoding('utf8').on('data', (text) => {
      errors += text
    })
    const ended = new Promise((resolve, reject) => {
      child.on('error', reject)
      child.on('close', (code, signal) => resolve({ end: signal ?? code, errors }))
    })
    return { child, ended }
  }

  /** Installs and serves until the test is over; the address that is printed for browsers. */
  async function serve(t, home) {
    const { child, ended } = install(home, ['serve', ...LOOPBACK])
    const stop = () => {
      child.kill()
      return ended
    }
    t.after(stop)
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
    for (;;) {
      const { done, value } = await lines.next()
      if (done) throw new Error(`the server ended: ${JSON.stringify(await ended)}`)
      if (value === 'For browsers') return { address: (await lines.next()).value.trim(), stop }
    }
  }

  test('is installed, runs and is reached by a page in a minute', { timeout: DEADLINE }, async (t) => {
    const home = await emptyHome(t)
    const start = performance.now()
    const { address, stop } = await serve(t, home)
    assert.match(address, /^\/ip4\/127\.0\.0\.1\/udp\/\d+\/webrtc-direct\/certhash\/.+\/p2p\/.+$/)
    const printed = performance.now()
    const { checks } = await page.run('dial', address)
    for (const name of ['connect', 'ping', 'echo'])
      assert.ok(checks[name].ok, `${name}: ${checks[name].detail}`)
    const connected = printed + checks.connect.ms - start
    t.diagnostic(
      `printed after ${Math.round(printed - start)} ms, connected after ${Math.round(connected)} ms`,
    )

    // Once more: another program in its place, and the same certificate and key.
    await stop()
    const again = await serve(t, home)
    const lasting = (text) => text.replace(/\/udp\/\d+\//, '/')
    assert.equal(lasting(again.address), lasting(address))
  })

  test('is installed from a folder, and leaves nothing else behind', async (t) => {
    const home = await emptyHome(t)
    const { end, errors } = await install(home, [], folder).ended
    assert.equal(end, 0, errors)
    assert.match(errors, /Run it: .*\/\.local\/bin\/polypeer serve/)
    assert.deepEqual(await readdir(home, { recursive: true }), [
      '.local',
      '.local/bin',
      '.local/bin/polypeer',
    ])
  })

  test('that is damaged, or is not there, is not installed', async (t) => {
    const home = await emptyHome(t)
    const damaged = await mkdtemp(join(tmpdir(), 'polypeer-damaged-'))
    t.after(() => rm(damaged, { recursive: true, force: true }))
    await cp(folder, damaged, { recursive: true })
    await appendFile(join(damaged, basename(archive)), 'x')
    for (const [from, reason] of [
      [damaged, /the archive is damaged.*\n.*SHA-256/],
      [`${server.url}nothing`, /nothing has no polypeer-.*\.tar\.gz/],
    ]) {
      const { end, errors } = await install(home, ['serve'], from).ended
      assert.equal(end, 1)
      assert.match(errors, reason)
      assert.deepEqual(await readdir(join(home, '.local/bin')), [])
    }
  })
})
