import { createHmac, randomUUID } from 'node:crypto'

export type HookForge = 'github' | 'gitea' | 'forgejo' | 'generic'

export interface Push {
  branch?: string
  sha: string
  message: string
}

export interface PushHook extends Push {
  url: string
  secret: string
  /** Absent: GitHub. */
  forge?: HookForge
  deliveryId?: string
  /** How long an answer is waited for; absent: as long as it takes. */
  timeoutMs?: number
}

/** Posts a push as a forge does, signed. */
export async function postPush(hook: PushHook): Promise<{ status: number; body: unknown }> {
  const { url, secret, forge = 'github', deliveryId = randomUUID() } = hook
  const body = pushBody(forge, hook)
  const headers = signHook({ forge, secret, body, deliveryId })
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body,
    ...(hook.timeoutMs === undefined ? {} : { signal: AbortSignal.timeout(hook.timeoutMs) }),
  })
  return { status: response.status, body: await response.json() }
}

export function pushBody(forge: HookForge, { branch = 'main', sha, message }: Push): string {
  const ref = `refs/heads/${branch}`
  if (forge === 'generic') return JSON.stringify({ type: 'push', ref, sha, title: message, sender: { id: '7', name: 'ana' } })
  const common = { ref, after: sha, head_commit: { id: sha, message }, sender: { id: 7, login: 'ana' } }
  return JSON.stringify(forge === 'github' ? { ...common, deleted: false } : { ...common, pusher: common.sender })
}

export interface HookToSign {
  forge: HookForge
  secret: string
  body: string | Buffer
  deliveryId: string
  event?: string
  /** ms; only Standard Webhooks sign it. Absent: now. */
  sentAt?: number
}

/** The headers that a forge sends: Gitea GitHub's as well, Forgejo also Gitea's. */
export function signHook({ forge, secret, body, deliveryId, event = 'push', sentAt }: HookToSign): Record<string, string> {
  if (forge === 'generic') {
    const timestamp = String(Math.floor((sentAt ?? Date.now()) / 1_000))
    const signature = createHmac('sha256', secret).update(`${deliveryId}.${timestamp}.`).update(body).digest('base64')
    return { 'webhook-id': deliveryId, 'webhook-timestamp': timestamp, 'webhook-signature': `v1,${signature}` }
  }
  const hex = createHmac('sha256', secret).update(body).digest('hex')
  const named = (name: string) => ({ [`x-${name}-event`]: event, [`x-${name}-delivery`]: deliveryId })
  return {
    ...named('github'),
    'x-hub-signature-256': `sha256=${hex}`,
    ...(forge === 'github' ? {} : { ...named('gitea'), 'x-gitea-signature': hex }),
    ...(forge === 'forgejo' ? { ...named('forgejo'), 'x-forgejo-signature': hex } : {}),
  }
}
