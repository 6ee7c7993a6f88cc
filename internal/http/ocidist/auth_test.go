package ocidist_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/http/rest/client"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/ocitest"
)

type tokenAnswer struct {
	Token        string `json:"token"`
	AccessToken  string `json:"access_token"`
	RefreshToken string `json:"refresh_token"`
	ExpiresIn    int    `json:"expires_in"`
}

func TestLogin(t *testing.T) {
	r := start(t, t.TempDir(), "", nil)
	target := r.target("ana", towpath.RoleReleaser, towpath.RoleViewer)
	c := ocitest.NewClient(t, target)
	anonymous := ocitest.NewClient(t, ocitest.Target{URL: target.URL, Repository: target.Repository, Other: target.Other})
	c.Push("latest", c.Manifest())

	t.Run("who has no token is told where to get one, and for what", func(t *testing.T) {
		host := strings.TrimPrefix(target.URL, "http://")
		for _, tt := range []struct{ method, path, scope string }{
			{"GET", "/v2/", ""},
			{"GET", "/v2/shop/tested/manifests/latest", "repository:shop/tested:pull"},
			{"PUT", "/v2/shop/tested/manifests/latest", "repository:shop/tested:pull,push"},
			{"POST", "/v2/shop/a/blobs/uploads/?mount=" + ocitest.Sha256(nil) + "&from=shop/b", "repository:shop/a:pull,push repository:shop/b:pull"},
			{"DELETE", "/v2/shop/tested/manifests/latest", "repository:shop/tested:delete"},
			{"GET", "/v2/_catalog", "registry:catalog:*"},
		} {
			a := anonymous.ExpectCode(anonymous.Do(tt.method, tt.path, nil), 401, "UNAUTHORIZED")
			want := `Bearer realm="` + target.URL + `/v2/token",service="` + host + `"`
			if tt.scope != "" {
				want += `,scope="` + tt.scope + `"`
			}
			if got := a.Header.Get("WWW-Authenticate"); got != want {
				t.Errorf("%s %s: %s, want %s", tt.method, tt.path, got, want)
			}
		}
	})
	t.Run("behind a proxy that has the TLS the way is by https", func(t *testing.T) {
		a := anonymous.Do("GET", "/v2/", nil, "X-Forwarded-Proto", "https")
		if got := a.Header.Get("WWW-Authenticate"); !strings.HasPrefix(got, `Bearer realm="https://`) {
			t.Errorf("got %s", got)
		}
	})
	t.Run("the challenge is followed as docker does", func(t *testing.T) {
		challenge := anonymous.Do("GET", "/v2/shop/tested/manifests/latest", nil).Header.Get("WWW-Authenticate")
		m := regexp.MustCompile(`realm="([^"]+)",service="([^"]+)",scope="([^"]+)"`).FindStringSubmatch(challenge)
		q := url.Values{"service": {m[2]}, "scope": {m[3]}, "account": {"somebody"}}
		a := c.Expect(c.Do("GET", m[1]+"?"+q.Encode(), nil), 200)
		got := ocitest.JSON[tokenAnswer](t, a)
		if got.Token == "" || got.Token != got.AccessToken || got.ExpiresIn < 60 || got.RefreshToken != "" || a.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("got %+v", got)
		}
		anonymous.Expect(anonymous.Do("GET", "/v2/shop/tested/manifests/latest", nil, "Authorization", "Bearer "+got.Token), 200)
	})
	t.Run("and as containerd does, with a form", func(t *testing.T) {
		for _, form := range []url.Values{
			{"grant_type": {"password"}, "username": {"x"}, "password": {target.Secret}, "service": {"s"}, "client_id": {"c"}},
			{"grant_type": {"refresh_token"}, "refresh_token": {target.Secret}, "service": {"s"}},
		} {
			a := anonymous.Expect(anonymous.Do("POST", "/v2/token", []byte(form.Encode()), "Content-Type", "application/x-www-form-urlencoded"), 200)
			if got := ocitest.JSON[tokenAnswer](t, a); got.AccessToken == "" || got.RefreshToken == "" {
				t.Errorf("got %+v", got)
			}
		}
	})
	t.Run("a token is the password of any user", func(t *testing.T) {
		for _, user := range []string{"ana", "", "<token>"} {
			basic := "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+target.Secret))
			anonymous.Expect(anonymous.Do("GET", "/v2/", nil, "Authorization", basic), 200)
		}
	})
	t.Run("what is no token is refused, everywhere", func(t *testing.T) {
		for _, header := range []string{
			"Bearer nope", "Bearer", "Basic !!!", "Basic " + base64.StdEncoding.EncodeToString([]byte("ana:nope")),
			"Digest " + target.Secret, "Bearer " + strings.Repeat("a", 5000),
		} {
			for _, path := range []string{"/v2/", "/v2/token", "/v2/shop/tested/tags/list", "/v2/nothing"} {
				a := anonymous.ExpectCode(anonymous.Do("GET", path, nil, "Authorization", header), 401, "UNAUTHORIZED")
				if a.Header.Get("WWW-Authenticate") == "" {
					t.Errorf("%s with %.20s is not told how to log in", path, header)
				}
			}
		}
		anonymous.Expect(anonymous.Do("GET", "/v2/token?token="+target.Secret, nil), 401)
	})
	t.Run("a token that is revoked works no more", func(t *testing.T) {
		token, err := r.s.Account(context.Background(), "eve", nil, []towpath.Role{towpath.RoleViewer}, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		bearer := "Bearer " + token.Secret
		anonymous.Expect(anonymous.Do("GET", "/v2/", nil, "Authorization", bearer), 200)
		api, err := client.New(client.Config{URL: target.URL, Token: client.Token(token.Secret)})
		if err != nil {
			t.Fatal(err)
		}
		if err := api.RevokeToken(t.Context(), token.ID); err != nil {
			t.Fatal(err)
		}
		anonymous.Expect(anonymous.Do("GET", "/v2/", nil, "Authorization", bearer), 401)
	})
}

func TestRoles(t *testing.T) {
	r := start(t, t.TempDir(), "", nil)
	owner := ocitest.NewClient(t, r.target("ana", towpath.RoleReleaser, towpath.RoleViewer))
	body := owner.Manifest()
	d := owner.Push("latest", body)
	blob := owner.PushBlobTo("other/secret", "sha256", []byte("other"))
	viewer := ocitest.NewClient(t, r.target("vic", towpath.RoleViewer))
	agent := ocitest.NewClient(t, r.target("bot", towpath.RoleAgent))

	t.Run("who may see may pull", func(t *testing.T) {
		for _, path := range []string{"manifests/latest", "tags/list", "referrers/" + d} {
			viewer.Expect(viewer.Do("GET", viewer.Repo(path), nil), 200)
		}
	})
	t.Run("who may not publish may not push nor delete", func(t *testing.T) {
		for _, try := range [][2]string{
			{"PUT", "manifests/mine"}, {"DELETE", "manifests/latest"}, {"DELETE", "manifests/" + d}, {"DELETE", "blobs/" + ocitest.Sha256(nil)},
			{"POST", "blobs/uploads/"}, {"POST", "blobs/uploads/?mount=" + d}, {"POST", "blobs/uploads/?digest=" + ocitest.Sha256(nil)},
			{"PATCH", "blobs/uploads/x"}, {"PUT", "blobs/uploads/x?digest=" + d}, {"DELETE", "blobs/uploads/x"}, {"GET", "blobs/uploads/x"},
		} {
			viewer.ExpectCode(viewer.Do(try[0], viewer.Repo(try[1]), body, "Content-Type", ocitest.TypeManifest), 403, "DENIED")
		}
		owner.Expect(owner.Do("GET", owner.Repo("manifests/latest"), nil), 200)
	})
	t.Run("who has no role there sees nothing", func(t *testing.T) {
		for _, path := range []string{"manifests/latest", "tags/list", "referrers/" + d, "blobs/" + d} {
			agent.ExpectCode(agent.Do("GET", agent.Repo(path), nil), 403, "DENIED")
		}
		a := agent.Expect(agent.Do("GET", "/v2/_catalog", nil), 200)
		if string(a.Body) != `{"repositories":[]}` {
			t.Errorf("the catalog is %s", a.Body)
		}
	})
	t.Run("a role in one project is none in another", func(t *testing.T) {
		one := ocitest.NewClient(t, r.granted("one", towpath.Grant{Role: towpath.RoleReleaser, Project: shop}))
		one.Push("mine", one.Manifest())
		one.ExpectCode(one.Do("GET", "/v2/other/secret/blobs/"+blob, nil), 403, "DENIED")
		one.ExpectCode(one.Do("POST", "/v2/other/secret/blobs/uploads/", nil), 403, "DENIED")
		for _, from := range []string{"&from=other/secret", ""} { // a mount is no way round
			one.Expect(one.Do("POST", one.Repo("blobs/uploads/?mount="+blob+from), nil), 202)
		}
		if a := one.Expect(one.Do("GET", "/v2/_catalog", nil), 200); strings.Contains(string(a.Body), "other") || !strings.Contains(string(a.Body), "shop/tested") {
			t.Errorf("the catalog is %s", a.Body)
		}
	})
	t.Run("a repository needs its project", func(t *testing.T) {
		for _, try := range [][2]string{{"POST", "/v2/nobody/x/blobs/uploads/"}, {"POST", "/v2/nobody/blobs/uploads/?digest=" + ocitest.Sha256(nil)}, {"PUT", "/v2/nobody/manifests/x"}} {
			a := owner.ExpectCode(owner.Do(try[0], try[1], ocitest.Encode(t, ocitest.Object{"schemaVersion": 2, "manifests": []any{}}), "Content-Type", ocitest.TypeIndex), 404, "NAME_UNKNOWN")
			if !bytes.Contains(a.Body, []byte("nobody")) {
				t.Errorf("it says %s", a.Body)
			}
		}
	})
}

// granted is the registry as an account with one grant sees it.
func (r *running) granted(name towpath.AccountName, g towpath.Grant) ocitest.Target {
	r.t.Helper()
	admin := r.target("root", towpath.RoleAdmin)
	target := r.target(name)
	api, err := client.New(client.Config{URL: admin.URL, Token: client.Token(admin.Secret)})
	if err != nil {
		r.t.Fatal(err)
	}
	if _, err := api.Grant(r.t.Context(), name, g); err != nil {
		r.t.Fatal(err)
	}
	return target
}
