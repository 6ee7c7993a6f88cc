package agentrpc_test

import (
	"crypto/rand"
	"reflect"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/towpath/towpath/internal/agentrpc"
	"github.com/towpath/towpath/internal/towpath"
)

func keys(t *testing.T, name string) (note.Signer, note.Verifier) {
	t.Helper()
	secret, public, err := note.GenerateKey(rand.Reader, name)
	if err != nil {
		t.Fatal(err)
	}
	s, err := note.NewSigner(secret)
	if err != nil {
		t.Fatal(err)
	}
	v, err := note.NewVerifier(public)
	if err != nil {
		t.Fatal(err)
	}
	return s, v
}

func TestAuthorisation(t *testing.T) {
	signer, verifier := keys(t, "towpath.test")
	a := agentrpc.Authorisation{
		Kind: towpath.DeploymentPromotion, Project: "shop", Environment: "prod", Deployment: "dep_1", Candidate: "cnd_1",
		Release: towpath.DigestOf([]byte("new")), Previous: towpath.DigestOf([]byte("old")), PlanHash: towpath.DigestOf([]byte("plan")),
		PolicyVersion: towpath.DigestOf([]byte("policy")), Approvers: []towpath.AccountName{"ana"}, At: time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC),
	}
	signed, err := a.Sign(signer)
	if err != nil {
		t.Fatal(err)
	}
	t.Run("arrives as it was signed", func(t *testing.T) {
		got, err := agentrpc.VerifyAuthorisation(signed, verifier)
		if err != nil || !reflect.DeepEqual(got, a) {
			t.Errorf("got %+v, %v", got, err)
		}
	})
	t.Run("is read without its key by who has kept it", func(t *testing.T) {
		if got, ok := agentrpc.ReadAuthorisation(signed); !ok || !reflect.DeepEqual(got, a) {
			t.Errorf("got %+v, %t", got, ok)
		}
		for _, none := range []string{"", "x", "towpath.authorisation/v1", "towpath.authorisation/v1\n{}", "towpath.authorisation/v1\n{\n", strings.Replace(signed, "v1", "v2", 1)} {
			if got, ok := agentrpc.ReadAuthorisation(none); ok {
				t.Errorf("%q: %+v", none, got)
			}
		}
	})
	_, stranger := keys(t, "towpath.test")
	checkpoint, err := note.Sign(&note.Note{Text: "towpath.test\n17\nZm9v\n"}, signer)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		signed string
		key    note.Verifier
	}{
		"refuses a signature of another key":               {signed, stranger},
		"refuses a changed word":                           {strings.Replace(signed, `"prod"`, `"dev1"`, 1), verifier},
		"refuses a note of another sort with the same key": {string(checkpoint), verifier},
		"refuses what is not signed":                       {strings.SplitAfter(signed, "\n\n")[0], verifier},
		"refuses nothing":                                  {"", verifier},
		"refuses what is too long":                         {strings.Repeat("x", 1<<20), verifier},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := agentrpc.VerifyAuthorisation(c.signed, c.key); towpath.KindOf(err) != towpath.KindForbidden {
				t.Errorf("got %v", err)
			}
		})
	}
}
