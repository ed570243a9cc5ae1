package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"slices"

	"github.com/sallyport-auth/sallyport/authn"
	"github.com/sallyport-auth/sallyport/session"
)

const (
	// announcedFile is there once what the first start hands out was printed.
	announcedFile = "announced"
	badgesFile    = "badges.json"
)

func (s *site) announced() (bool, error) {
	_, err := os.Stat(filepath.Join(s.data, announcedFile))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

func (s *site) setAnnounced() error {
	return write(filepath.Join(s.data, announcedFile), []byte("The first invitation and badge were printed. Without this file the next start makes others.\n"), 0o600)
}

// makeBadge makes a badge for the attendant, again until it was printed: what a kill kept from being printed is no use to
// anybody.
func (s *site) makeBadge(iterations int) error {
	announced, err := s.announced()
	if err != nil {
		return err
	}
	file := filepath.Join(s.data, badgesFile)
	if _, err := os.Stat(file); announced && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	number, err := digits()
	if err != nil {
		return err
	}
	pin, err := digits()
	if err != nil {
		return err
	}
	b := badge{Number: number, User: attendant, Salt: make([]byte, 16)}
	if _, err := rand.Read(b.Salt); err != nil {
		return err
	}
	if b.Hash, err = derive(pin, b.Salt, iterations); err != nil {
		return err
	}
	text, err := json.MarshalIndent(badgeBook{iterations, []badge{b}}, "", "  ")
	if err != nil {
		return err
	}
	s.handouts = append(s.handouts, fmt.Sprintf("badge %s %s PIN %s", attendant, number, pin))
	return write(file, append(text, '\n'), 0o600)
}

// digits are six at random.
func digits() (string, error) {
	n, err := rand.Int(rand.Reader, big.NewInt(1_000_000))
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%06d", n), nil
}

// populate makes the tenant, its kiosks and the attendant, who is invited as long as nothing else lets them in.
func (s *site) populate(ctx context.Context) error {
	op := s.engine.Operate(tenant)
	if err := op.CreateTenant(ctx, "Corp"); err != nil && !errors.Is(err, session.ErrConflict) {
		return err
	}
	users := []session.NewUser{{Name: attendant, Display: "Carol Cooper"}}
	for _, name := range devices {
		users = append(users, session.NewUser{Name: name, Class: authn.ClassDevice})
	}
	for _, n := range users {
		if _, err := op.CreateUser(ctx, n); err != nil && !errors.Is(err, session.ErrConflict) {
			return err
		}
	}
	u, err := userNamed(ctx, op, attendant)
	if err != nil {
		return err
	}
	waits, err := s.waits(ctx, op, u)
	if err != nil || !waits {
		return err
	}
	code, err := op.Invite(ctx, u.ID, 0)
	if err != nil {
		return err
	}
	s.handouts = append(s.handouts, fmt.Sprintf("invitation %s %s", u.Name, code))
	return nil
}

// waits reports whether a user has no passkey, and no invitation that somebody knows of.
func (s *site) waits(ctx context.Context, op *session.Admin, u session.User) (bool, error) {
	credentials, err := op.Credentials(ctx, u.ID)
	if err != nil || len(credentials) > 0 || u.Status != session.Active {
		return false, err
	}
	announced, err := s.announced()
	if err != nil || !announced {
		return true, err
	}
	invitations, err := op.Invitations(ctx)
	return !slices.ContainsFunc(invitations, func(i session.Invitation) bool { return i.User == u.ID && i.Open(s.engine.Now()) }), err
}

func userNamed(ctx context.Context, op *session.Admin, name string) (session.User, error) {
	users, err := op.Users(ctx)
	if err != nil {
		return session.User{}, err
	}
	for _, u := range users {
		if u.Name == name && u.Class == authn.ClassPerson {
			return u, nil
		}
	}
	return session.User{}, fmt.Errorf("there is no user %q", name)
}
