"""The OpenAPI document: our own part, and what upper apps offer to customers' programs."""

from crm.registries import Registry

# asked with nothing: ``{path: path item}``
PATHS = Registry("signed calls in the OpenAPI document")

ANSWER = {"$ref": "#/components/schemas/Answer"}
HEADERS = {
    "X-Timestamp": ("Unix 时间（秒），与服务器相差不超过 5 分钟", 20, "^[0-9]{1,12}$"),
    "X-Nonce": ("随机数，每次请求不同", 64, "^[!-~]+$"),
    "X-Signature": ("HMAC-SHA256（十六进制）", 64, "^[0-9a-f]{64}$"),
}
CODES = {
    400: "请求不完整或格式不对",
    401: "签名不正确，或时间戳相差太大",
    403: "密钥或客户已停用",
    404: "没有这条记录，或不属于该客户",
    405: "方法不对",
    409: "随机数重复、幂等键用于别的请求，或当前状态不允许",
    413: "请求内容太大",
    429: "调用过于频繁",
    500: "服务器内部错误",
}


def reply(text, schema=ANSWER) -> dict:
    return {"description": text, "content": {"application/json": {"schema": schema}}}


def signed_call(summary, *, body=None, effect=False, parameters=(), success="成功") -> dict:
    """The operation of a call made with ``customers.tracking.api.signed``."""
    headers = [_header(name, *HEADERS[name]) for name in HEADERS]
    if effect:
        headers.append(_header("Idempotency-Key", "幂等键：重试同一请求时不变", 100, "^[!-~]+$"))
    found = {
        "summary": summary,
        "tags": ["客户接口"],
        "security": [{"appKey": []}],
        "parameters": [*parameters, *headers],
        "responses": {"200": reply(success), **{str(code): reply(text) for code, text in CODES.items()}},
    }
    if body is not None:
        found["requestBody"] = {"required": True, "content": {"application/json": {"schema": body}}}
    return found


def _header(name, text, longest, pattern):
    schema = {"type": "string", "minLength": 1, "maxLength": longest, "pattern": pattern}
    return {"name": name, "in": "header", "required": True, "description": text, "schema": schema}


RECORD = {
    "post": {
        "summary": "记录操作事件",
        "description": "供已登录的页面调用；先查微信用户，再查联系人与客户。",
        "tags": ["操作记录"],
        "security": [{"session": [], "csrf": []}],
        "parameters": [
            {
                "name": "isSupplySide",
                "in": "query",
                "description": "操作人的所属端：false 为销售端，缺省或其他值为供应端。",
                "schema": {"type": "string"},
            }
        ],
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {
                        "type": "object",
                        "required": ["phoneNumber", "operationEvent"],
                        "properties": {
                            "phoneNumber": {"type": "string", "minLength": 1, "maxLength": 100},
                            "operationEvent": {"type": "string", "minLength": 1, "maxLength": 500},
                            "eventType": {"type": "string", "maxLength": 50},
                        },
                    },
                    "example": {"phoneNumber": "13800138000", "operationEvent": "查看客户详情", "eventType": "view"},
                }
            },
        },
        "responses": {
            "200": reply("操作记录成功"),
            "400": reply("缺少参数，或未找到对应的客户信息"),
            "401": reply("未登录，或不属于该端"),
            "403": reply("CSRF 令牌缺失或过期"),
            "405": reply("方法不对"),
            "429": reply("操作过于频繁"),
            "500": reply("记录失败，请稍后重试"),
        },
    }
}


def document(site_url) -> dict:
    paths = {"/api/information-tracking/record": RECORD}
    for added in PATHS.ask().values():
        paths |= added
    return {
        "openapi": "3.0.3",
        "info": {"title": "客源 CRM 接口", "version": "1.0.0", "description": "说明与示例见 docs/api.md。"},
        "servers": [{"url": site_url}],
        "paths": paths,
        "components": {
            "schemas": {
                "Answer": {
                    "type": "object",
                    "required": ["success"],
                    "properties": {
                        "success": {"type": "boolean"},
                        "code": {"type": "string"},
                        "message": {"type": "string"},
                    },
                }
            },
            "securitySchemes": {
                "session": {"type": "apiKey", "in": "cookie", "name": "sessionid"},
                "csrf": {"type": "apiKey", "in": "header", "name": "X-CSRFToken"},
                "appKey": {"type": "apiKey", "in": "header", "name": "X-App-Key"},
            },
        },
    }
