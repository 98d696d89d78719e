/** React's modules are those of this folder, whoever asks. */

/**
 * @param {string} specifier
 * @param {{parentURL?: string}} context
 * @param {(specifier: string, context: object) => Promise<object>} next
 */
export function resolve(specifier, context, next) {
  const isReact = /^react(-dom)?(\/|$)/.test(specifier);
  return next(specifier, isReact ? { ...context, parentURL: import.meta.url } : context);
}
