// Package sessionhttp puts an engine in front of an HTTP application: the cookie, the application's values on scs, the
// calls of the HTTP contract as a chi router, guards for the application's own routes. It is the only place that turns
// errors into HTTP.
package sessionhttp
