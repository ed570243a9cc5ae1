// Package storetest proves a [session.Store]: [Run] holds it to every sentence of its contract, and [RunDurable] to what
// must be there after a restart. A store's own test is a dozen lines.
//
// [Faulty] and [Hooked] wrap a store for tests of what stands on it: they make a chosen call fail, or let something else
// happen right before or after it.
package storetest
