package hubemulator

import (
	"context"
	"crypto/sha1" //nolint:gosec // a thumbprint that hubs take, not a signature
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/endpoint"
	"github.com/zerotouch-dps/dps/endpoint/mqtt/wire"
)

// rejection is why a device is not let in, and the code it is told.
type rejection struct {
	code wire.ReturnCode
	why  string
}

func (r *rejection) Error() string { return r.why }

func reject(code wire.ReturnCode, format string, args ...any) error {
	return &rejection{code, fmt.Sprintf(format, args...)}
}

// admission is a device that may connect.
type admission struct {
	deviceID string
	expires  time.Time // of its token, with the allowance for clocks; zero: never
}

// admit holds a device's CONNECT to the registry. Errors are *rejection, or the store's.
func (h *Hub) admit(ctx context.Context, asked wire.Connect, from endpoint.Peer) (admission, error) {
	host, id, ok := parseUserName(asked.UserName)
	switch {
	case !ok:
		return admission{}, reject(wire.CodeCredential, "user name is not {host}/{deviceId}/?api-version=…")
	case !h.isHost(host):
		return admission{}, reject(wire.CodeCredential, "user name is of another hub, %q", host)
	case !sameName(id, asked.ClientID):
		return admission{}, reject(wire.CodeIdentifier, "client ID %q is not the device of the user name", asked.ClientID)
	}
	device, ok, err := h.store.get(ctx, asked.ClientID)
	switch {
	case err != nil:
		return admission{}, err
	case !ok:
		return admission{}, reject(wire.CodeNotAuthorized, "device is not registered")
	case device.Disabled:
		return admission{}, reject(wire.CodeNotAuthorized, "device is disabled")
	}
	return h.admitAs(ctx, device, asked.Password, from)
}

// admitAs holds a device to the kind of credential that it is registered with.
func (h *Hub) admitAs(ctx context.Context, device record, password string, from endpoint.Peer) (admission, error) {
	admitted := admission{deviceID: device.ID}
	var err error
	switch device.Auth.Type {
	case "sas":
		admitted.expires, err = h.checkToken(device, password)
	case "selfSigned":
		err = h.checkThumbprint(device.Auth.X509Thumbprint, from)
	case "certificateAuthority":
		err = h.checkChain(ctx, device.ID, from)
	default:
		err = reject(wire.CodeNotAuthorized, "device has no credential")
	}
	return admitted, err
}

// parseUserName reads {host}/{deviceId}/…; what follows says versions, and any is good.
func parseUserName(text string) (host, id string, ok bool) {
	parts := strings.SplitN(text, "/", 3)
	if len(parts) != 3 || parts[1] == "" {
		return "", "", false
	}
	return parts[0], parts[1], true
}

// sameName reports whether a text, as it is or percent-decoded, is a name.
func sameName(text, name string) bool {
	if text == name {
		return true
	}
	decoded, err := url.PathUnescape(text)
	return err == nil && decoded == name
}

// isHost reports whether a host name, with or without a port, is this hub's.
func (h *Hub) isHost(host string) bool {
	host, _, _ = strings.Cut(host, ":")
	return dps.FoldASCII(host) == dps.FoldASCII(h.config.HostName)
}

// checkToken verifies a SAS token with the device's keys.
func (h *Hub) checkToken(device record, text string) (expires time.Time, err error) {
	token, err := attestation.ParseSASToken(text)
	if err != nil {
		return expires, reject(wire.CodeCredential, "password is not a SAS token")
	}
	path, err := token.Path()
	host, rest, _ := strings.Cut(path, "/")
	keys := device.Auth.SymmetricKey
	switch {
	case err != nil || !h.isHost(host) || rest != "devices/"+device.ID:
		return expires, reject(wire.CodeNotAuthorized, "token is for %q", path)
	case !signedBy(token, keys.Primary) && !signedBy(token, keys.Secondary):
		return expires, reject(wire.CodeNotAuthorized, "token is signed with another key")
	case token.Expired(h.config.Now()):
		return expires, reject(wire.CodeNotAuthorized, "token is expired")
	}
	seconds, err := strconv.ParseInt(token.Expiry, 10, 64)
	return time.Unix(seconds, 0).Add(attestation.ClockSkew), err
}

func signedBy(token attestation.SASToken, key *string) bool {
	if !filled(key) {
		return false
	}
	raw, err := base64.StdEncoding.DecodeString(*key)
	return err == nil && token.SignedBy(raw)
}

// leafOf returns the certificate that the peer presented.
func (h *Hub) leafOf(from endpoint.Peer) (*x509.Certificate, error) {
	if from.TLS == nil || len(from.TLS.PeerCertificates) == 0 {
		return nil, reject(wire.CodeNotAuthorized, "device presents no certificate")
	}
	leaf := from.TLS.PeerCertificates[0]
	if err := attestation.CheckValidity(leaf, h.config.Now()); err != nil {
		return nil, reject(wire.CodeNotAuthorized, "%s", err)
	}
	return leaf, nil
}

func (h *Hub) checkThumbprint(registered thumbprints, from endpoint.Peer) error {
	leaf, err := h.leafOf(from)
	if err != nil {
		return err
	}
	short, long := sha1.Sum(leaf.Raw), sha256.Sum256(leaf.Raw) //nolint:gosec // see the import
	for _, one := range []*string{registered.Primary, registered.Secondary} {
		if filled(one) && (strings.EqualFold(*one, hex.EncodeToString(short[:])) || strings.EqualFold(*one, hex.EncodeToString(long[:]))) {
			return nil
		}
	}
	return reject(wire.CodeNotAuthorized, "certificate is not the registered one")
}

// checkChain verifies a certificate up to a CA that the hub trusts. Its common name must
// be the device ID.
func (h *Hub) checkChain(ctx context.Context, deviceID string, from endpoint.Peer) error {
	leaf, err := h.leafOf(from)
	if err != nil {
		return err
	}
	if attestation.CommonName(leaf) != deviceID {
		return reject(wire.CodeNotAuthorized, "certificate is of %q", attestation.CommonName(leaf))
	}
	if h.config.Authorities == nil {
		return reject(wire.CodeNotAuthorized, "the hub trusts no CA")
	}
	trusted, err := h.config.Authorities(ctx)
	if err != nil {
		return fmt.Errorf("read trusted CA certificates: %w", err)
	}
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	for _, ca := range trusted {
		roots.AddCert(ca)
	}
	for _, ca := range from.TLS.PeerCertificates[1:] {
		between.AddCert(ca)
	}
	_, err = leaf.Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: between, CurrentTime: h.config.Now(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	if err != nil {
		return reject(wire.CodeNotAuthorized, "certificate: %s", err)
	}
	return nil
}
