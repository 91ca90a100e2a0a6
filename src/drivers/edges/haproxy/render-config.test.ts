import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import { expect, it } from 'vitest'
import { skipUnless } from '../../../../test/helpers/skips.ts'
import { findHaproxy, findObstacle } from './find-haproxy.ts'
import { renderConfig, type ConfigOptions } from './render-config.ts'

const plain: ConfigOptions = { listen: { host: '127.0.0.1', port: 8080 }, socket: '/tmp/edge/1.sock', route: [] }
const servers = (options: ConfigOptions): string[] =>
  renderConfig(options)
    .split('\n')
    .filter((line) => line.startsWith('    server '))
    .map((line) => line.trim())

it('is this, word for word', () => {
  const text = renderConfig({
    ...plain,
    route: [{ slot: 'blue1', address: '10.0.0.7', port: 3000 }],
    user: { name: 'haproxy', group: 'haproxy' },
  })
  expect(text.replaceAll(/^( {4}server (?:blue[2-9]|blue1\d|green\d+)) 127\.0\.0\.1:1 backup disabled\n/gm, ''))
    .toMatchInlineSnapshot(`
    "# Written by Belay at each start of this edge. Changes are lost.
    global
        stats socket unix@/tmp/edge/1.sock mode 600 level admin
        noreuseport
        fd-hard-limit 65536
        user haproxy
        group haproxy

    defaults
        mode http
        timeout client 24h
        timeout server 24h
        timeout tunnel 24h
        timeout http-request 60s
        timeout http-keep-alive 75s
        option tcpka
        # A client that has gone is not waited for, and the application is told.
        option abortonclose
        http-error status 502 content-type "text/plain; charset=utf-8" string "The application broke off.\\n"
        http-error status 503 content-type "text/plain; charset=utf-8" string "The application does not answer.\\n" hdr retry-after 1

    frontend edge
        bind 127.0.0.1:8080
        # One list in one header: some applications read the first line only, and that one would be the client's.
        http-request set-var(txn.for) req.fhdr(x-forwarded-for,1)
        http-request set-var-fmt(txn.for) "%[var(txn.for)], %[req.fhdr(x-forwarded-for,2)]" if { req.fhdr_cnt(x-forwarded-for) ge 2 }
        http-request set-var-fmt(txn.for) "%[var(txn.for)], %[req.fhdr(x-forwarded-for,3)]" if { req.fhdr_cnt(x-forwarded-for) ge 3 }
        http-request set-var-fmt(txn.for) "%[var(txn.for)], %[src]" if { req.fhdr_cnt(x-forwarded-for) ge 1 }
        http-request set-var(txn.for) src if ! { req.fhdr_cnt(x-forwarded-for) ge 1 }
        http-request set-header x-forwarded-for %[var(txn.for)]
        acl near src 127.0.0.0/8 ::1
        http-request set-header x-forwarded-proto http if !near or ! { req.hdr(x-forwarded-proto) -m found }
        http-request set-header x-forwarded-host %[req.hdr(host)] if !near or ! { req.hdr(x-forwarded-host) -m found }
        http-request set-header x-forwarded-port %[dst_port] if !near or ! { req.hdr(x-forwarded-port) -m found }
        http-request return status 503 content-type "text/plain; charset=utf-8" string "Nothing is deployed here yet.\\n" hdr retry-after 1 if { nbsrv(app) eq 0 }
        default_backend app

    # 20 tries, 100 ms apart, before anything of a request is sent; each may go to another slot, and to another release after a
    # switch. A request that was sent is never sent again. That all are backups and used together is why a try waits at all: among
    # others HAProxy goes round at once, and 20 tries would be over while the application starts again.
    backend app
        balance roundrobin
        option allbackups
        timeout connect 100ms
        retries 20
        retry-on conn-failure
        option redispatch 1
        option http-server-close
        http-reuse never
        server blue1 10.0.0.7:3000 backup
    "
  `)
})

it('has every slot: those of the route with traffic, all others without', () => {
  const route = [
    { slot: 'blue1', address: '10.0.0.7', port: 3000 },
    { slot: 'blue2', address: '2001:db8::1', port: 3001 },
  ]
  const lines = servers({ ...plain, route })
  expect(lines).toHaveLength(32)
  expect(lines.slice(0, 3)).toEqual([
    'server blue1 10.0.0.7:3000 backup',
    'server blue2 [2001:db8::1]:3001 backup',
    'server blue3 127.0.0.1:1 backup disabled',
  ])
  expect(lines.slice(3).every((line) => line.endsWith(' 127.0.0.1:1 backup disabled'))).toBe(true)
})

it.each([
  { listen: { host: '127.0.0.1\n    stats enable', port: 80 } },
  { listen: { host: '*', port: 80 } },
  { listen: { host: '127.0.0.1', port: 0 } },
  { socket: '/tmp/a b.sock' },
  { socket: 'relative.sock' },
  { route: [{ slot: 'blue1', address: 'app.internal', port: 80 }] },
])('writes nothing else than addresses into it: %j', (wrong) => {
  expect(() => renderConfig({ ...plain, ...wrong })).toThrow(expect.objectContaining({ code: 'invalid_input' }) as Error)
})

it.each([
  { host: '127.0.0.1', port: 8080 },
  { host: '::', port: 8080 },
  { host: 'localhost', port: 8080 },
])('HAProxy itself finds nothing wrong with it, nor worth a warning: $host', async (listen) => {
  const obstacle = findObstacle()
  skipUnless(obstacle === undefined, obstacle ?? '')
  const directory = mkdtempSync(join(tmpdir(), 'belay-config-'))
  try {
    const route = [{ slot: 'blue1', address: '2001:db8::1', port: 3000 }]
    writeFileSync(`${directory}/haproxy.cfg`, renderConfig({ listen, socket: `${directory}/1.sock`, route }))
    const { all } = await execa(findHaproxy() ?? '', ['-c', '-f', `${directory}/haproxy.cfg`], { all: true })
    expect(all).toBe('Configuration file is valid')
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
})
