// Package live runs OpenID providers that others wrote, for tests of the factor oauth: oidc-provider, which is certified by
// the OpenID Foundation, and dex. It also brings who signs in there: a [Visitor] that follows pages and forms without a
// browser, and [Chromium].
//
// It is for tests, and part of no program. What it runs is not part of this module either: install.sh in its folder
// installs it, and where something is missing a test is skipped with what to do, or fails if SALLYPORT_TEST_REQUIRE is "all".
// Providers listen on loopback, have everything in memory and end with the test.
package live
