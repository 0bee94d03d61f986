-- SkyShield beside HAProxy (2.5 or later): a Lua action that asks before a request is served, by the HTTP
-- client that HAProxy brings with it.
--
--   global
--       lua-load-per-thread /etc/haproxy/skyshield.lua
--
--   frontend web
--       option http-buffer-request          # so that the body, up to tune.bufsize, is inspected too
--       http-request lua.skyshield          # refuses where there is no answer; `lua.skyshield_open` serves
--
-- In /etc/skyshield/skyshield.toml:
--
--   [gateway]
--   listen = []                             # HAProxy has the ports
--
--   [[forward_auth.doors]]
--   listen = "unix:/run/skyshield/haproxy.sock"
--   proxy = "haproxy"
--   group = "haproxy"
--
-- The request's id is in `txn.skyshield_request`, that of a refusal in `txn.skyshield_incident`: log them
-- (see skyshield.cfg), and SkyShield learns what became of requests.

local SOCKET  = "unix@/run/skyshield/haproxy.sock"
-- Milliseconds; SkyShield itself answers within `forward_auth.deadline_millis`.
local TIMEOUT = 1000

-- Between the client and HAProxy, or said by us below.
local OWN = {
    ["connection"] = true, ["content-length"] = true, ["transfer-encoding"] = true, ["keep-alive"] = true,
    ["te"] = true, ["upgrade"] = true, ["expect"] = true, ["host"] = true, ["x-original-method"] = true,
    ["x-original-uri"] = true, ["x-original-host"] = true, ["x-real-ip"] = true,
    ["x-skyshield-peer"] = true, ["x-skyshield-partial"] = true,
}

-- What a refusal takes with it to the client.
local SHOWN = {
    "content-type", "cache-control", "content-security-policy", "x-content-type-options",
    "x-skyshield-incident", "retry-after", "ratelimit", "ratelimit-policy",
}

local function question(txn)
    local headers = {}
    for name, values in pairs(txn.http:req_get_headers()) do
        if not OWN[name] then
            local all = {}
            for _, value in pairs(values) do all[#all + 1] = value end
            headers[name] = all
        end
    end
    local body, size = txn.f:req_body() or "", txn.f:req_body_size() or 0
    headers["x-original-method"] = { txn.f:method() }
    headers["x-original-uri"]    = { txn.f:url() }
    headers["x-original-host"]   = { txn.f:req_hdr("host") or "" }
    headers["x-real-ip"]         = { txn.f:src() }
    headers["host"]              = { "skyshield" }
    if size > #body then headers["x-skyshield-partial"] = { "true" } end
    return headers, body
end

local function ask(txn)
    local headers, body = question(txn)
    local asked = { url = "http://skyshield/", headers = headers, dst = SOCKET, timeout = TIMEOUT }
    if #body > 0 then
        asked.body = body
        return core.httpclient():post(asked)
    end
    return core.httpclient():get(asked)
end

local function skyshield(fails_open)
    return function(txn)
        local ok, answer = pcall(ask, txn)
        local status = ok and answer and answer.status or 0
        if status >= 200 and status < 300 then
            local id = answer.headers["x-skyshield-request"]
            if id then txn:set_var("txn.skyshield_request", id[0] or id[1]) end
            return
        end
        if status == 0 or status >= 500 then
            if fails_open then return end
            local reply = txn:reply()
            reply:set_status(503)
            reply:add_header("content-type", "text/plain")
            reply:add_header("retry-after", "1")
            reply:set_body("there is no verdict on this request\n")
            txn:done(reply)
            return
        end
        local reply = txn:reply()
        reply:set_status(status)
        for _, name in ipairs(SHOWN) do
            local values = answer.headers[name]
            if values then reply:add_header(name, values[0] or values[1]) end
        end
        local incident = answer.headers["x-skyshield-incident"]
        if incident then txn:set_var("txn.skyshield_incident", incident[0] or incident[1]) end
        reply:set_body(answer.body or "")
        txn:done(reply)
    end
end

core.register_action("skyshield", { "http-req" }, skyshield(false), 0)
core.register_action("skyshield_open", { "http-req" }, skyshield(true), 0)
