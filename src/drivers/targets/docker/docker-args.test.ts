import { expect, test } from 'vitest'
import { goneName, ownedName, readFenceVolume, readName } from './container-name.ts'
import { splitVariables } from './container-variables.ts'
import { createArgs, inspectArgs, listArgs, pullArgs, removeArgs, restartArgs, startArgs, stopArgs } from './docker-args.ts'
import { chooseUser } from './find-user.ts'

const image = `127.0.0.1:5000/shop/app@sha256:${'a'.repeat(64)}`

test('a container is made without any right it does not need, and without a value in an argument', () => {
  const args = createArgs({
    ...{ name: 'belay.production.aaaaaaaaaaaa.0.f7', image, user: '65534:65534', pids: 512, memoryBytes: 67_108_864 },
    labels: { 'belay.environment': 'production', 'belay.slot': '0' },
    ...{ address: '127.0.0.1', port: 30_123, envNames: ['SECRET', 'MODE'], envFile: '/calls/1-x/variables' },
  })
  expect(args).toEqual([
    ...['container', 'create', '--pull', 'never', '--name', 'belay.production.aaaaaaaaaaaa.0.f7'],
    ...['--label', 'belay.environment=production', '--label', 'belay.slot=0'],
    ...['--init', '--restart', 'no', '--stop-timeout', '10'],
    ...['--read-only', '--tmpfs', '/tmp', '--cap-drop', 'ALL', '--security-opt', 'no-new-privileges', '--user', '65534:65534'],
    ...['--memory', '67108864', '--memory-swap', '67108864', '--pids-limit', '512'],
    ...['--log-driver', 'json-file', '--log-opt', 'max-size=10m', '--log-opt', 'max-file=2'],
    ...['--publish', '127.0.0.1:30123:8080', '--env-file', '/calls/1-x/variables', '--env', 'SECRET', '--env', 'MODE'],
    ...['--env', 'PORT=8080', '--', image],
  ])
})

test('publishes on an IPv6 address in brackets', () => {
  const spec = { name: 'n', image, user: '1000', pids: 64, labels: {}, address: '::1', port: 30_000, envNames: [] }
  expect(createArgs(spec).join(' ')).toContain('--publish [::1]:30000:8080 --env PORT=8080')
  expect(createArgs(spec)).not.toContain('--memory')
})

test('the other commands', () => {
  expect(listArgs('production', 'ID')).toEqual([
    ...['container', 'ls', '--all', '--no-trunc', '--filter', 'label=belay.environment=production', '--format', 'belay {{.ID}}'],
  ])
  expect(inspectArgs(['one', 'two']).slice(-3)).toEqual(['--', 'one', 'two'])
  expect(inspectArgs(['one']).join(' ')).not.toContain('.Config.Env')
  expect(startArgs('name')).toEqual(['container', 'start', '--', 'name'])
  expect(restartArgs('name', 'always')).toEqual(['container', 'update', '--restart', 'always', '--', 'name'])
  expect(stopArgs('id')).toEqual(['container', 'stop', '--time', '10', '--', 'id'])
  expect(removeArgs('id')).toEqual(['container', 'rm', '--force', '--volumes', '--', 'id'])
  expect(pullArgs(image)).toEqual(['image', 'pull', '--quiet', '--', image])
})

test.each([
  ['', '65534:65534'],
  ['root', '65534:65534'],
  ['0', '65534:65534'],
  ['0:1000', '65534:65534'],
  ['root:app', '65534:65534'],
  ['10001', '10001'],
  ['app:app', 'app:app'],
])('an image of user "%s" runs as %s', (user, expected) => {
  expect(chooseUser(user)).toBe(expected)
})

test('a name can be read back, whatever the environment is called', () => {
  const place = { environment: 'a-f3_gone', digest: `sha256:${'b'.repeat(64)}`, slot: 15 }
  expect(ownedName(place, 42)).toBe('belay.a-f3_gone.bbbbbbbbbbbb.15.f42')
  expect(readName(`/${ownedName(place, 42)}`)).toEqual({ fence: 42, gone: false })
  expect(readName(goneName('gone', 'c'.repeat(64)))).toEqual({ fence: 0, gone: true })
  expect(readName('renamed-by-hand')).toEqual({ fence: 0, gone: false })
  expect(readFenceVolume('belay.production.f7')).toBe(7)
  expect(readFenceVolume(`belay.production.image.${'b'.repeat(64)}`)).toBeUndefined()
})

const own = { PATH: '/usr/bin', HOME: '/root', DOCKER_HOST: 'unix:///engine', EXTRA: '1' }

test('variables that the program would take to be about itself go by a file, and PORT is ours', () => {
  const variables = {
    MODE: 'on',
    PORT: '1',
    PATH: '/app',
    DOCKER_HOST: 'x',
    https_proxy: 'p',
    LD_PRELOAD: 'l',
    EXTRA: '2',
    KEY: 'a\nb',
  }
  expect(splitVariables(variables, own)).toEqual({
    passed: { MODE: 'on', KEY: 'a\nb' },
    file: ['PATH=/app', 'DOCKER_HOST=x', 'https_proxy=p', 'LD_PRELOAD=l', 'EXTRA=2'],
  })
})

test.each([
  [{ PATH: 'a\nb' }, 'PATH has several lines'],
  [{ 'A B': '1' }, '"A B" has a name'],
  [{ A: 'a\0b' }, 'A has a NUL'],
])('variables that cannot be passed on are refused, by name and never by value', (variables, message) => {
  expect(() => splitVariables(variables as Record<string, string>, own)).toThrow(message)
})
