package main

import (
	"crypto/pbkdf2"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"

	strict "github.com/go-json-experiment/json"
)

// badgeBook is the file of badges. No PIN is in it, only what is derived from it.
type badgeBook struct {
	Iterations int     `json:"iterations"` // of PBKDF2 with HMAC-SHA-256 (RFC 8018 section 5.2), the same for all
	Badges     []badge `json:"badges"`
}

type badge struct {
	Number string `json:"number"`
	User   string `json:"user"` // login name
	Salt   []byte `json:"salt"`
	Hash   []byte `json:"hash"`
}

const (
	leastIterations = 1000
	mostIterations  = 10_000_000 // some seconds
	pinIterations   = 600_000    // of the badges that this program makes
)

func parseBadges(b []byte) (book badgeBook, _ error) {
	if err := strict.Unmarshal(b, &book, strict.RejectUnknownMembers(true)); err != nil {
		return book, errors.New("it is no list of badges as this program writes it")
	}
	if book.Iterations < leastIterations || book.Iterations > mostIterations {
		return book, fmt.Errorf("iterations must be from %d to %d", leastIterations, mostIterations)
	}
	seen := map[string]bool{}
	for _, b := range book.Badges {
		switch {
		case !badgeNumber.MatchString(b.Number):
			return book, errors.New("the number of a badge is 4 to 12 digits")
		case seen[b.Number]:
			return book, fmt.Errorf("badge %s is there twice", b.Number)
		case b.User == "":
			return book, fmt.Errorf("badge %s is nobody's", b.Number)
		case len(b.Salt) < 16 || len(b.Hash) != sha256.Size:
			return book, fmt.Errorf("badge %s has no PIN", b.Number)
		}
		seen[b.Number] = true
	}
	return book, nil
}

// check finds the badge, the zero one if there is none, and reports whether the PIN is its. It takes as long whatever it finds.
func (book badgeBook) check(shown shownBadge) (found badge, knows bool, _ error) {
	compared := badge{Salt: make([]byte, 16), Hash: make([]byte, sha256.Size)}
	for _, b := range book.Badges {
		if b.Number == shown.Number {
			found, compared = b, b
		}
	}
	hash, err := derive(shown.PIN, compared.Salt, book.Iterations)
	return found, err == nil && found.Number != "" && subtle.ConstantTimeCompare(hash, compared.Hash) == 1, err
}

func derive(pin string, salt []byte, iterations int) ([]byte, error) {
	return pbkdf2.Key(sha256.New, pin, salt, iterations, sha256.Size)
}
