// `npm start` after the build, and its web server.
import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { createServer, request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { root } from '../../scripts/lib.mjs'
import { serveFolder } from '../../scripts/static-server.mjs'

const timeout = 60_000
const posix = process.platform !== 'win32'

/** Runs `npm start` with these arguments; `url` resolves when it says where to go, `said` is its stderr. */
function start(t, ...args) {
  const child = spawn(process.execPath, [join(root, 'scripts/start.mjs'), '--no-build', ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  t.after(() => child.kill('SIGKILL'))
  const running = { child, said: '', ended: once(child, 'close') }
  child.stderr.setEncoding('utf8').on('data', (text) => {
    running.said += text
  })
  let out = ''
  running.url = new Promise((resolve, reject) => {
    child.stdout.setEncoding('utf8').on('data', (text) => {
      out += text
      const [, url] = /Open (\S+)/.exec(out) ?? []
      if (url) resolve(url)
    })
    running.ended.then(() => reject(new Error(`it ended: ${running.said}`)))
  })
  running.url.catch(() => {})
  return running
}

/** The processes that `parent` started. */
function children(parent) {
  const { stdout } = spawnSync('ps', ['-A', '-o', 'pid=,ppid='], { encoding: 'utf8' })
  const pairs = stdout
    .trim()
    .split('\n')
    .map((line) => line.trim().split(/\s+/).map(Number))
  return pairs.filter(([, of]) => of === parent).map(([pid]) => pid)
}

test('it serves the page and tells it of the server, until it is interrupted', { timeout }, async (t) => {
  const running = start(t, '--port', '0')
  const url = await running.url
  assert.match(await (await fetch(url)).text(), /<title>Polypeer/)
  const { peer, addresses } = await (await fetch(new URL('server.json', url))).json()
  assert.ok(addresses.some((address) => address.includes('/ws/') && address.endsWith(`/p2p/${peer}`)))
  const servers = posix ? children(running.child.pid) : []
  running.child.kill('SIGINT')
  const [code] = await running.ended
  assert.equal(posix ? code : 0, 0)
  for (const pid of servers) assert.throws(() => process.kill(pid, 0), { code: 'ESRCH' })
})

test('it says so when the server crashes', { timeout, skip: !posix }, async (t) => {
  const running = start(t, '--port', '0')
  await running.url
  for (const pid of children(running.child.pid)) process.kill(pid, 'SIGKILL')
  const [code] = await running.ended
  assert.equal(code, 1)
  assert.match(running.said, /The server ended by itself, with SIGKILL/)
  assert.match(running.said, /npm start/)
})

test('it says so when the port is taken, or none', { timeout }, async (t) => {
  const taken = createServer().listen(0, '127.0.0.1')
  await once(taken, 'listening')
  t.after(() => taken.close())
  for (const [port, words] of [
    [String(taken.address().port), /cannot be had/],
    ['65536', /not a port: 65536/],
  ]) {
    const running = start(t, '--port', port)
    const [code] = await running.ended
    assert.equal(code, 1)
    assert.match(running.said, words)
  }
})

/** A request with its path as it is written, which `fetch` would tidy. */
function get(url, path, method = 'GET') {
  return new Promise((resolve, reject) => {
    const asking = request(url, { path, method }, (response) => {
      const parts = []
      response.on('data', (part) => parts.push(part))
      response.on('end', () => {
        const { statusCode: status, headers } = response
        resolve({ status, type: headers['content-type'], body: Buffer.concat(parts).toString() })
      })
    })
    asking.on('error', reject)
    asking.end()
  })
}

test('the web server gives what is in its folder, with its type, and nothing else', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'polypeer-web-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const open = join(folder, 'open')
  await mkdir(open)
  await writeFile(join(folder, 'secret.txt'), 'secret')
  await writeFile(join(open, 'index.html'), 'page')
  await writeFile(join(open, 'core.wasm'), '\0asm')
  if (posix) await symlink(join(folder, 'secret.txt'), join(open, 'link.txt'))
  const web = await serveFolder(open, { extra: { '/server.json': () => ({ addresses: [] }) } })
  t.after(() => web.close())

  assert.deepEqual(await get(web.url, '/'), { status: 200, type: 'text/html; charset=utf-8', body: 'page' })
  assert.equal((await get(web.url, '/core.wasm')).type, 'application/wasm')
  assert.equal((await get(web.url, '/server.json?now')).body, '{"addresses":[]}')
  for (const path of [
    '/../secret.txt',
    '/%2e%2e/secret.txt',
    '/..%2fsecret.txt',
    '/x/../../secret.txt',
    '/link.txt',
    '/toString',
    '/%',
    '/%00',
    '//',
    '/nothing',
  ]) {
    const answer = await get(web.url, path)
    assert.equal(answer.status, 404, path)
    assert.ok(!answer.body.includes('secret'), path)
  }
  assert.equal((await get(web.url, '/', 'POST')).status, 405)
  assert.equal((await get(web.url, '/', 'HEAD')).body, '')
})
