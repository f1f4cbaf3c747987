CREATE TABLE `CATEGORY` (`id` bigint NOT NULL, `name` varchar(100), PRIMARY KEY (`id`));

CREATE TABLE `CUSTOMER` (`id` bigint NOT NULL, `name` varchar(255), `shortname` varchar(255), `code` varchar(64),
  `countryId` bigint, `homepage` varchar(255), `email` varchar(255), `address` varchar(600), `phone` varchar(64),
  `stageType` int, `creditFlag` int, `creditLimit` json, `auditStatus` int, `enableFlag` int,
  `customerTypes` varchar(255), `transportType` varchar(64), `priceTerms` varchar(64), `invoiceTitle` varchar(255),
  `taxRate` decimal(10,4), `managerIds` varchar(255), `zxbquotaFlag` int, `annex` text, `picture` text,
  `changeFlag` int, `changeStatus` int, `ver` int, `custLinkCode` varchar(64), `categoryIds` varchar(255),
  PRIMARY KEY (`id`), UNIQUE KEY `uk_code` (`code`));

CREATE TABLE `CONTACT` (`id` bigint NOT NULL, `custId` bigint, `name` varchar(255), `pocPosts` varchar(255),
  `email` varchar(255), `mobile` varchar(64), `address` varchar(600), `defaultFlag` int, `remark` text,
  `telephone` varchar(64), `wechat` varchar(100), `qq` varchar(64), PRIMARY KEY (`id`));

CREATE TABLE `BANK_ACCOUNT` (`id` bigint NOT NULL, `custId` bigint, `bank` varchar(255), `bankAddress` varchar(255),
  `bankPoc` varchar(255), `bankCode` varchar(64), `bankAccount` varchar(64), `defaultFlag` int, `payeeEntityId` bigint,
  PRIMARY KEY (`id`));

CREATE TABLE `COMPANY_PATH` (`id` bigint NOT NULL, `companyPathId` bigint, `custId` bigint, `custCode` varchar(64),
  `defaultFlag` int, PRIMARY KEY (`id`));

CREATE TABLE `MARK` (`id` bigint NOT NULL, `custId` bigint, `markContent` text, `createBy` bigint,
  `createTime` datetime, PRIMARY KEY (`id`));
