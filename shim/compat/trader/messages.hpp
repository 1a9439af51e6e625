// What goes over the wire for which method and callback: the facts of the plain protocol.
#pragma once

#include "structs.hpp"

namespace compat::trader {

constexpr std::uint16_t kNoSeries = 0, kDialog = 1, kPrivate = 2, kPublic = 3, kQuery = 4;

enum FieldId : std::uint16_t {
    kInfoField = 0x0000,
    kDissemination = 0x1001,
    kLoginField = 0x1002,
};

enum Tid : std::uint32_t {
    kErrorAnswer = 0x0001,
    kLogin = 0x3000,
    kLoginAnswer = 0x3001,
    kFlowNotice = 0xf102,
};

struct Request {
    const char* method;
    std::uint32_t tid;
    std::uint16_t field;
    Struct type;
    std::uint16_t series;
};
constexpr Request kRequests[] = {
    {"ReqUserLogin", kLogin, kLoginField, kReqUserLogin, kNoSeries},
    {"ReqAuthenticate", 0x3010, 0x1012, kReqAuthenticate, kDialog},
    {"ReqUserLogout", 0x3002, 0x1004, kUserLogout, kDialog},
    {"ReqSettlementInfoConfirm", 0x4013, 0x040f, kSettlementInfoConfirm, kDialog},
    {"ReqOrderInsert", 0x4000, 0x0400, kInputOrder, kDialog},
    {"ReqOrderAction", 0x4006, 0x0404, kInputOrderAction, kDialog},
    {"ReqQryOrder", 0x8000, 0x0700, kQryOrder, kQuery},
    {"ReqQryTrade", 0x8002, 0x0701, kQryTrade, kQuery},
    {"ReqQryInvestorPosition", 0x8004, 0x0702, kQryInvestorPosition, kQuery},
    {"ReqQryTradingAccount", 0x8006, 0x0703, kQryTradingAccount, kQuery},
    {"ReqQryInstrument", 0x802e, 0x0717, kQryInstrument, kQuery},
    {"ReqQryDepthMarketData", 0x8030, 0x0718, kQryDepthMarketData, kQuery},
};
constexpr std::size_t kRequestCount = sizeof kRequests / sizeof kRequests[0];

// The arguments of a callback: (data, info, request id, is last), (data), or (data, info).
enum class Shape { kAnswer, kReturn, kErrorReturn };

struct Answer {
    std::uint32_t tid;
    std::uint16_t field;
    Struct type;
    const char* callback;
    Shape shape;
};
constexpr Answer kAnswers[] = {
    {kLoginAnswer, 0x1003, kRspUserLogin, "OnRspUserLogin", Shape::kAnswer},
    {0x3011, 0x1012, kRspAuthenticate, "OnRspAuthenticate", Shape::kAnswer},
    {0x3003, 0x1004, kUserLogout, "OnRspUserLogout", Shape::kAnswer},
    {0x4014, 0x040f, kSettlementInfoConfirm, "OnRspSettlementInfoConfirm", Shape::kAnswer},
    {0x4001, 0x0400, kInputOrder, "OnRspOrderInsert", Shape::kAnswer},
    {0x4007, 0x0404, kInputOrderAction, "OnRspOrderAction", Shape::kAnswer},
    {0x8001, 0x0401, kOrder, "OnRspQryOrder", Shape::kAnswer},
    {0x8003, 0x0409, kTrade, "OnRspQryTrade", Shape::kAnswer},
    {0x8005, 0x000d, kInvestorPosition, "OnRspQryInvestorPosition", Shape::kAnswer},
    {0x8007, 0x000c, kTradingAccount, "OnRspQryTradingAccount", Shape::kAnswer},
    {0x802f, 0x0003, kInstrument, "OnRspQryInstrument", Shape::kAnswer},
    {0x8031, 0x0012, kDepthMarketData, "OnRspQryDepthMarketData", Shape::kAnswer},
    {0xf001, 0x0401, kOrder, "OnRtnOrder", Shape::kReturn},
    {0xf002, 0x0409, kTrade, "OnRtnTrade", Shape::kReturn},
    {0xf003, 0x0400, kInputOrder, "OnErrRtnOrderInsert", Shape::kErrorReturn},
    {0xf004, 0x0405, kOrderAction, "OnErrRtnOrderAction", Shape::kErrorReturn},
    {0xf104, 0x2442, kInstrumentStatus, "OnRtnInstrumentStatus", Shape::kReturn},
};
constexpr std::size_t kAnswerCount = sizeof kAnswers / sizeof kAnswers[0];
constexpr std::size_t kLoginAnswerIndex = 0;

}  // namespace compat::trader
