/** HAProxy's configuration, for 2.6 and later: what it is started with says where traffic goes at that moment. */
import { isIPv6 } from 'node:net'
import { BelayError } from '../../../domain/errors.ts'
import type { EdgeAddress } from '../edge.ts'
import { isHost } from '../upstream-host.ts'
import { checkAddress, checkPort, type SlotAddress } from './runtime-commands.ts'
import { slotNames } from './slots.ts'

export interface ConfigOptions {
  listen: EdgeAddress
  /** Runtime socket. */
  socket: string
  /** Slots that traffic goes to. */
  route: readonly SlotAddress[]
  /** Given up to this user and group once the ports are bound; only root can. */
  user?: { name: string; group: string }
}

const text = 'content-type "text/plain; charset=utf-8"'

export function renderConfig({ listen, socket, route, user }: ConfigOptions): string {
  const servers = slotNames.map((slot) =>
    renderServer(
      slot,
      route.find((candidate) => candidate.slot === slot),
    ),
  )
  return `# Written by Belay at each start of this edge. Changes are lost.
global
    stats socket unix@${checkPath(socket)} mode 600 level admin
    noreuseport
    fd-hard-limit 65536
${user === undefined ? '' : `    user ${user.name}\n    group ${user.group}\n`}
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
    http-error status 502 ${text} string "The application broke off.\\n"
    http-error status 503 ${text} string "The application does not answer.\\n" hdr retry-after 1

frontend edge
    bind ${bracketed(listen.host)}:${checkPort(listen.port)}
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
    http-request return status 503 ${text} string "Nothing is deployed here yet.\\n" hdr retry-after 1 if { nbsrv(app) eq 0 }
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
${servers.join('\n')}
`
}

function renderServer(slot: string, at: SlotAddress | undefined): string {
  if (at === undefined) return `    server ${slot} 127.0.0.1:1 backup disabled`
  return `    server ${slot} ${bracketed(checkAddress(at.address))}:${checkPort(at.port)} backup`
}

function bracketed(host: string): string {
  if (!isHost(host)) throw wrong(`${JSON.stringify(host)} is not an IP address or a host name`)
  return isIPv6(host) ? `[${host}]` : host
}

function checkPath(path: string): string {
  if (!/^\/[a-zA-Z0-9._/-]+$/.test(path)) throw wrong(`${JSON.stringify(path)} cannot be written into a configuration`)
  return path
}

function wrong(message: string): BelayError {
  return new BelayError({ code: 'invalid_input', message: `the edge was given what it cannot use: ${message}` })
}
