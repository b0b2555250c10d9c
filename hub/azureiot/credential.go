package azureiot

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/url"
	"strconv"
	"sync"
	"time"

	"github.com/zerotouch-dps/dps/hub"
)

// credential signs as one policy of the hub.
type credential struct {
	host string
	name string
	key  []byte

	mu      sync.Mutex
	token   string
	renewal time.Time
}

// newCredentials takes a link's connection strings apart; both name the same host.
func newCredentials(l hub.Linked) (credentials []*credential, host string, err error) {
	first, err := hub.ParseConnectionString(l.ConnectionString)
	if err != nil {
		return nil, "", err
	}
	credentials = []*credential{newCredential(first)}
	if l.NextConnectionString.IsZero() {
		return credentials, first.HostName, nil
	}
	next, err := hub.ParseConnectionString(l.NextConnectionString)
	if err != nil {
		return nil, "", err
	}
	return append(credentials, newCredential(next)), first.HostName, nil
}

func newCredential(c hub.Connection) *credential {
	return &credential{host: c.HostName, name: c.SharedAccessKeyName, key: c.Key()}
}

// authorization returns the policy's SAS token, made anew before it runs out.
func (c *credential) authorization(now time.Time) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.token == "" || now.After(c.renewal) {
		c.token = signToken(c.host, c.name, c.key, now.Add(tokenLife))
		c.renewal = now.Add(tokenLife - tokenRenewal)
	}
	return c.token
}

func signToken(resource, name string, key []byte, expires time.Time) string {
	sr, se := url.QueryEscape(resource), strconv.FormatInt(expires.Unix(), 10)
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(sr + "\n" + se))
	sig := base64.StdEncoding.EncodeToString(mac.Sum(nil))
	return "SharedAccessSignature sr=" + sr + "&sig=" + url.QueryEscape(sig) + "&se=" + se + "&skn=" + url.QueryEscape(name)
}
