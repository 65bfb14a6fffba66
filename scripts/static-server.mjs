// A small web server for files on this machine: the demo page and pages of tests.
import { readFile, realpath } from 'node:fs/promises'
import { createServer } from 'node:http'
import { extname, join, sep } from 'node:path'

const types = {
  '.css': 'text/css; charset=utf-8',
  '.html': 'text/html; charset=utf-8',
  '.ico': 'image/x-icon',
  '.js': 'text/javascript; charset=utf-8',
  '.json': 'application/json',
  '.map': 'application/json',
  '.mjs': 'text/javascript; charset=utf-8',
  '.png': 'image/png',
  '.svg': 'image/svg+xml',
  '.txt': 'text/plain; charset=utf-8',
  '.wasm': 'application/wasm',
  '.webmanifest': 'application/manifest+json',
  '.woff2': 'font/woff2',
}

/**
 * Serves `folder` on loopback. `extra` maps paths to functions whose result is sent
 * as JSON. If `port` is taken, a free one is used, or it is an error if `strict`.
 */
export async function serveFolder(folder, { port = 0, extra = {}, strict = false } = {}) {
  const base = await realpath(folder)
  const server = createServer(async (request, response) => {
    const headers = { 'cache-control': 'no-cache', 'x-content-type-options': 'nosniff' }
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      response.writeHead(405, { ...headers, allow: 'GET, HEAD' }).end()
      return
    }
    try {
      const path = decodeURIComponent(new URL(request.url, 'http://localhost').pathname)
      if (Object.hasOwn(extra, path)) {
        response.writeHead(200, { ...headers, 'content-type': types['.json'] })
        response.end(JSON.stringify(extra[path]()))
        return
      }
      const file = await realpath(join(base, path.endsWith('/') ? `${path}index.html` : path))
      if (!file.startsWith(base + sep)) throw new Error('outside of the folder')
      const body = await readFile(file)
      response.writeHead(200, {
        ...headers,
        'content-type': types[extname(file)] ?? 'application/octet-stream',
      })
      response.end(body)
    } catch {
      response.writeHead(404, { ...headers, 'content-type': 'text/plain' }).end('not found\n')
    }
  })
  await listen(server, port).catch((error) => {
    if (strict || port === 0 || error.code !== 'EADDRINUSE') throw error
    return listen(server, 0)
  })
  return {
    port: server.address().port,
    url: `http://127.0.0.1:${server.address().port}/`,
    close: () =>
      new Promise((resolve) => {
        server.close(resolve)
        server.closeAllConnections()
      }),
  }
}

const listen = (server, port) =>
  new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, '127.0.0.1', () => {
      server.off('error', reject)
      resolve()
    })
  })
