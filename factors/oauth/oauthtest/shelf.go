package oauthtest

import (
	"crypto/rand"
	"time"
)

// How long things live.
const (
	sessionLife   = 12 * time.Hour
	formLife      = 10 * time.Minute
	pushLife      = time.Minute
	codeLife      = time.Minute
	accessLife    = 10 * time.Minute
	tokenLife     = 5 * time.Minute
	assertionLife = 10 * time.Minute
)

// maxShelf is how many things are kept: whoever comes then makes room by taking the place of another.
const maxShelf = 10_000

// shelf keeps things by names that cannot be guessed, for a while. The provider's lock guards it.
type shelf[T any] struct {
	life   time.Duration
	things map[string]kept[T]
}

type kept[T any] struct {
	thing T
	until time.Time
}

func newShelf[T any](life time.Duration) *shelf[T] {
	return &shelf[T]{life: life, things: map[string]kept[T]{}}
}

func (s *shelf[T]) put(name string, thing T, now time.Time) {
	if len(s.things) >= maxShelf {
		s.sweep(now)
	}
	s.things[name] = kept[T]{thing, now.Add(s.life)}
}

func (s *shelf[T]) sweep(now time.Time) {
	for name, k := range s.things {
		if !now.Before(k.until) || len(s.things) >= maxShelf {
			delete(s.things, name)
		}
	}
}

func (s *shelf[T]) add(thing T, now time.Time) string {
	name := rand.Text()
	s.put(name, thing, now)
	return name
}

func (s *shelf[T]) get(name string, now time.Time) (T, bool) {
	k, ok := s.things[name]
	if !ok || !now.Before(k.until) {
		var none T
		return none, false
	}
	return k.thing, true
}

func (s *shelf[T]) take(name string, now time.Time) (T, bool) {
	thing, ok := s.get(name, now)
	delete(s.things, name)
	return thing, ok
}
