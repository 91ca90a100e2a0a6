/**
 * Where secret values come from. `resolve` throws `BelayError` `refused` if the secret is not there, with a hint that
 * names where it was looked for and never the value; `unavailable` (retryable) if the provider cannot be reached.
 */
export interface SecretProvider {
  readonly name: string
  resolve(reference: Readonly<Record<string, string>>): Promise<string>
}
