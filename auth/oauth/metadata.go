package oauth

import (
	"net/http"
	"strings"
)

// resource serves the metadata of a protected resource, RFC 9728: a document for each MCP path. The one without a path is of
// /mcp.
func (s *Server) resource(w http.ResponseWriter, r *http.Request) {
	path := strings.TrimPrefix(r.URL.Path, "/.well-known/oauth-protected-resource")
	if rest, ok := strings.CutPrefix(path, s.base.Path); ok {
		path = rest
	}
	if path == "" || path == "/" {
		path = "/mcp"
	}
	if s.address(path) == "" || door(path) != path {
		fail(w, http.StatusNotFound, "not_found", "there is no resource at this path")
		return
	}
	answer(w, http.StatusOK, map[string]any{
		"resource":                 s.address(path),
		"resource_name":            "Crosstalk",
		"authorization_servers":    []string{s.base.String()},
		"scopes_supported":         []string{"read", "write"},
		"bearer_methods_supported": []string{"header"},
	})
}

// server serves the metadata of the authorization server, RFC 8414. An issuer with a path has it behind the well-known one.
func (s *Server) server(w http.ResponseWriter, r *http.Request) {
	path := strings.TrimPrefix(r.URL.Path, "/.well-known/oauth-authorization-server")
	if path = strings.TrimSuffix(path, "/"); path != "" && path != s.base.Path {
		fail(w, http.StatusNotFound, "not_found", "there is no authorization server at this path")
		return
	}
	issuer := s.base.String()
	answer(w, http.StatusOK, map[string]any{
		"issuer":                                         issuer,
		"authorization_endpoint":                         issuer + "/oauth/authorize",
		"token_endpoint":                                 issuer + "/oauth/token",
		"registration_endpoint":                          issuer + "/oauth/register",
		"revocation_endpoint":                            issuer + "/oauth/revoke",
		"scopes_supported":                               []string{"read", "write", scopeLasting},
		"response_types_supported":                       []string{"code"},
		"response_modes_supported":                       []string{"query"},
		"grant_types_supported":                          []string{"authorization_code", "refresh_token"},
		"code_challenge_methods_supported":               []string{"S256"},
		"token_endpoint_auth_methods_supported":          authMethods(),
		"revocation_endpoint_auth_methods_supported":     authMethods(),
		"client_id_metadata_document_supported":          true,
		"authorization_response_iss_parameter_supported": true,
	})
}

func authMethods() []string { return []string{"none", "client_secret_post", "client_secret_basic"} }
