package cli

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/client/device"
)

type enroller struct {
	host, policy string
	key          []byte
	addr         string
	http         *http.Client
	now          func() time.Time
}

func newEnroller(conn string, e device.Endpoint, env *Env) (*enroller, error) {
	if conn == "" {
		return nil, usagef("enrolling needs --service-connection-string")
	}
	x := &enroller{now: env.Now, addr: net.JoinHostPort(e.Host, strconv.Itoa(e.Port))}
	for _, part := range strings.Split(conn, ";") {
		k, v, _ := strings.Cut(part, "=")
		switch k {
		case "HostName":
			x.host = v
		case "SharedAccessKeyName":
			x.policy = v
		case "SharedAccessKey":
			x.key, _ = base64.StdEncoding.DecodeString(v)
		}
	}
	x.http = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: e.Roots}}}
	return x, nil
}

func (x *enroller) put(ctx context.Context, path string, body any) error {
	text, _ := json.Marshal(body)
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, "https://"+x.addr+path+"?api-version=2021-10-01", bytes.NewReader(text))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", attestation.SignToken(x.host, x.policy, x.key, x.now().Add(time.Hour)))
	r, err := x.http.Do(req)
	if err != nil {
		return err
	}
	defer r.Body.Close()
	if r.StatusCode == http.StatusConflict {
		return nil
	}
	if r.StatusCode >= 300 {
		t, _ := io.ReadAll(r.Body)
		return fmt.Errorf("enroll: %s", t)
	}
	return nil
}

func (x *enroller) individual(ctx context.Context, id device.Identity) error {
	att := map[string]any{"type": "symmetricKey", "symmetricKey": map[string]string{"primaryKey": id.Key.Reveal()}}
	if id.Certificate != nil {
		att = map[string]any{"type": "x509", "x509": map[string]any{"clientCertificates": map[string]any{"primary": map[string]string{"certificate": string(certificatePEM(id.Certificate.Leaf))}}}}
	}
	return x.put(ctx, "/enrollments/"+url.PathEscape(id.RegistrationID), map[string]any{"registrationId": id.RegistrationID, "attestation": att})
}

func (x *enroller) x509Group(ctx context.Context, name, pem string) error {
	return x.put(ctx, "/enrollmentGroups/"+name, map[string]any{"enrollmentGroupId": name, "attestation": map[string]any{"type": "x509", "x509": map[string]any{"signingCertificates": map[string]any{"primary": map[string]string{"certificate": pem}}}}})
}

func (x *enroller) keyGroup(ctx context.Context, name, prefix string, key dps.Secret) error {
	return x.put(ctx, "/enrollmentGroups/"+name, map[string]any{"enrollmentGroupId": name, "attestation": map[string]any{"type": "symmetricKey", "symmetricKey": map[string]string{"primaryKey": key.Reveal()}}})
}
