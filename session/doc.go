// Package session drives logins: it loads a caller's record, asks the factor, applies the event to the machine of package
// authn, saves by compare-and-swap, and carries out the effects. It knows no HTTP; session/sessionhttp does.
package session
