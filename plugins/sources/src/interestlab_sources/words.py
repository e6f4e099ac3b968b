"""The vocabulary of the simulated shop, in English and Chinese."""

from typing import NamedTuple


class Words(NamedTuple):
    """A category in one language.

    Attributes:
        brands: makers.
        traits: adjectives before a noun.
        praise: what a happy reviewer says of such a thing.
        blame: what an unhappy one says.
        nouns: things of each leaf, in the order of :attr:`Category.leaves`.
    """

    brands: list[str]
    traits: list[str]
    praise: list[str]
    blame: list[str]
    nouns: list[list[str]]


class Category(NamedTuple):
    """A category of the shop, its subcategories, and the words of both languages."""

    name: str
    leaves: list[str]
    english: Words
    chinese: Words


def _words(brands: str, traits: str, praise: str, blame: str, *nouns: str) -> Words:
    lists = [text.split(", ") for text in (brands, traits, praise, blame)]
    return Words(lists[0], lists[1], lists[2], lists[3], [text.split(", ") for text in nouns])


CATEGORIES = [
    Category(
        "Coffee & Tea",
        ["Espresso", "Pour Over", "Green Tea", "Grinders"],
        _words(
            "Northbean, Mill & Kettle, Casa Moka, Leafward",
            "classic, premium, artisan, compact, everyday",
            "rich aroma in every cup, no bitter aftertaste, my morning brew has improved, cafe quality at home",
            "the brew tastes weak, tastes burnt, stale smell when it arrived, too small for two cups",
            "espresso machine, moka pot, portafilter, espresso beans",
            "gooseneck kettle, glass dripper, paper filters, drip server",
            "sencha leaves, matcha powder, jasmine green tea, tea infuser",
            "burr grinder, hand mill, grinder brush, dosing cup",
        ),
        _words(
            "山岚, 壶语, 豆记, 清露",
            "经典, 精选, 匠心, 便携, 家用",
            "每杯香气浓郁, 入口顺滑不苦, 早晨那杯好喝多了, 在家也有店里的水准",
            "冲出来味道偏淡, 有股糊味, 到货有陈味, 只够一杯",
            "意式咖啡机, 摩卡壶, 咖啡手柄, 意式咖啡豆",
            "细口手冲壶, 玻璃滤杯, 咖啡滤纸, 分享壶",
            "煎茶, 抹茶粉, 茉莉绿茶, 茶漏",
            "磨豆机, 手摇磨, 磨豆机毛刷, 接粉杯",
        ),
    ),
    Category(
        "Running",
        ["Road Shoes", "Trail", "Watches", "Apparel"],
        _words(
            "Stridewell, Kilo, Fellrunner, Tempo Lab",
            "lightweight, breathable, waterproof, racing, reflective",
            "carried me through a marathon, comfortable on long runs, held up in the rain, took minutes off my pace",
            "wore out in weeks, chafes on long runs, runs a size small, fell apart mid-race",
            "marathon shoes, tempo trainers, carbon racers, running insoles",
            "trail shoes, hydration vest, trekking poles, gaiters",
            "GPS watch, heart rate strap, foot pod, watch band",
            "running shorts, compression socks, wind jacket, running cap",
        ),
        _words(
            "疾风, 千里, 越岭, 节拍",
            "轻量, 透气, 防水, 竞速, 反光",
            "陪我跑完全马, 长距离也舒服, 雨天也靠得住, 配速快了不少",
            "几周就磨坏, 长跑会磨皮肤, 尺码偏小, 比赛中途就坏了",
            "马拉松跑鞋, 训练跑鞋, 碳板跑鞋, 跑步鞋垫",
            "越野跑鞋, 越野水袋背心, 登山杖, 防沙套",
            "跑步手表, 心率带, 计步器, 表带",
            "跑步短裤, 压缩袜, 防风夹克, 跑步帽",
        ),
    ),
    Category(
        "Skin Care",
        ["Moisturizers", "Sunscreen", "Cleansers", "Serums"],
        _words(
            "Dewlab, Alba Rosa, Plain Skin, Mirae",
            "gentle, fragrance-free, hydrating, brightening, oil-free",
            "absorbs without a greasy film, calmed my redness, skin feels soft by morning, no breakouts",
            "left a white cast, stings around the eyes, smells of alcohol, broke me out",
            "night cream, gel moisturizer, barrier cream, sleeping mask",
            "mineral sunscreen, SPF 50 fluid, sun stick, tinted sunscreen",
            "foaming cleanser, cleansing oil, micellar water, clay wash",
            "vitamin C serum, niacinamide serum, retinol drops, hyaluronic ampoule",
        ),
        _words(
            "润颜, 素肌, 花漾, 水之语",
            "温和, 无香, 补水, 提亮, 控油",
            "吸收快不油腻, 泛红好多了, 早起皮肤很软, 没有闷痘",
            "涂完泛白, 有点辣眼睛, 酒精味重, 用了爆痘",
            "晚霜, 保湿凝胶, 修护面霜, 睡眠面膜",
            "物理防晒霜, 防晒乳, 防晒棒, 润色防晒",
            "洁面泡沫, 卸妆油, 卸妆水, 洁面泥",
            "维C精华, 烟酰胺精华, 视黄醇精华, 玻尿酸安瓶",
        ),
    ),
    Category(
        "Guitars",
        ["Acoustic", "Electric", "Pedals", "Strings"],
        _words(
            "Oakline, Red Valley, Voltaire, Kestrel",
            "vintage, handmade, studio, touring, signature",
            "warm sustain, stays in tune all night, quiet on stage, bright without being harsh",
            "fret buzz out of the box, hums loudly, pegs slip, sounds thin",
            "dreadnought guitar, parlour guitar, guitar capo, soundhole pickup",
            "semi-hollow guitar, practice amp, humbucker pickup, instrument cable",
            "overdrive pedal, delay pedal, looper, tuner pedal",
            "acoustic strings, electric strings, guitar picks, string winder",
        ),
        _words(
            "木韵, 红谷, 电弦, 鸣鹤",
            "复古, 手工, 录音室, 巡演, 签名款",
            "音色温暖延音长, 一晚上不跑音, 台上很安静, 清亮不刺耳",
            "到手就打品, 底噪太大, 弦钮打滑, 声音单薄",
            "民谣吉他, 旅行吉他, 变调夹, 音孔拾音器",
            "半空心电吉他, 练习音箱, 双线圈拾音器, 乐器连接线",
            "过载效果器, 延迟效果器, 循环效果器, 调音踏板",
            "民谣吉他弦, 电吉他弦, 吉他拨片, 卷弦器",
        ),
    ),
    Category(
        "Photography",
        ["Lenses", "Tripods", "Lighting", "Film"],
        _words(
            "Lumenar, Halden Optics, Greypoint, Silverroll",
            "compact, professional, lightweight, classic, studio",
            "my portraits look sharper, true skin tones, steady even in wind, lovely pictures at dusk",
            "photos came out soft, creeps under load, colours look off, flimsy mount",
            "prime lens, macro lens, lens hood, polarizing filter",
            "travel tripod, ball head, monopod, phone clamp",
            "softbox, ring light, speedlight, light stand",
            "black and white film, colour negative film, film canister, developing tank",
        ),
        _words(
            "光影, 远瞳, 灰度, 银盐",
            "便携, 专业, 轻量, 经典, 影棚",
            "人像更锐利了, 肤色还原准, 刮风也稳, 傍晚也能拍出好照片",
            "照片发软, 承重会下滑, 偏色, 接口松动",
            "定焦镜头, 微距镜头, 遮光罩, 偏振镜",
            "旅行三脚架, 球形云台, 独脚架, 手机夹",
            "柔光箱, 环形灯, 机顶闪光灯, 灯架",
            "黑白胶卷, 彩色负片, 胶卷盒, 冲洗罐",
        ),
    ),
    Category(
        "Baby",
        ["Strollers", "Feeding", "Sleep", "Toys"],
        _words(
            "Little Otter, Nestling, Pomelo, Tiny Steps",
            "organic, washable, soft, portable, non-toxic",
            "our son loves it, easy to clean, packs with one hand, she sleeps through the night",
            "hard to wash, smells of plastic, paint came off, broke when she dropped it",
            "travel stroller, rain cover, stroller organizer, baby carrier",
            "baby bottle, silicone bib, high chair, bottle warmer",
            "swaddle blanket, night light, white noise machine, crib sheet",
            "wooden blocks, teething ring, rattle, bath toys",
        ),
        _words(
            "小水獭, 暖巢, 柚子宝贝, 小步",
            "有机, 可水洗, 柔软, 便携, 无毒",
            "宝宝很喜欢, 好清洗, 单手就能收, 一觉到天亮",
            "不好清洗, 塑料味重, 掉漆, 一摔就坏",
            "婴儿推车, 推车雨罩, 推车挂袋, 婴儿背带",
            "奶瓶, 硅胶围兜, 餐椅, 温奶器",
            "襁褓巾, 小夜灯, 白噪音机, 婴儿床单",
            "木头积木, 磨牙圈, 摇铃, 洗澡玩具",
        ),
    ),
    Category(
        "Gardening",
        ["Seeds", "Tools", "Pots", "Irrigation"],
        _words(
            "Greenfold, Barrow & Son, Terra Cotta Co, Raindrop",
            "hardy, all-season, balcony, professional, natural",
            "every tomato came up, survived the frost, the roses have doubled, easy on the hands",
            "half the bed never sprouted, cracked in the first frost, rusted after one season, the plants wilted",
            "tomato seeds, wildflower mix, basil seeds, seed tray",
            "pruning shears, hand trowel, garden fork, kneeling pad",
            "terracotta pot, grow bag, hanging planter, pot saucer",
            "drip hose, watering can, spray nozzle, water timer",
        ),
        _words(
            "绿野, 老农, 陶园, 雨滴",
            "耐寒, 四季, 阳台, 专业, 天然",
            "番茄都长起来了, 一冬都没冻坏, 月季开得翻倍, 用着不累手",
            "一半没发芽, 一冻就裂, 一季就生锈, 植物都蔫了",
            "番茄种子, 野花组合种子, 罗勒种子, 育苗盘",
            "修枝剪, 小铲子, 园艺叉, 跪垫",
            "红陶花盆, 种植袋, 吊盆, 花盆托盘",
            "滴灌软管, 浇水壶, 喷头, 定时浇水器",
        ),
    ),
    Category(
        "Gaming",
        ["Keyboards", "Mice", "Headsets", "Board Games"],
        _words(
            "Hexcore, Pixelforge, Nightowl, Meeple House",
            "compact, premium, limited-edition, tournament, travel",
            "a game night favourite, worth it in every match, comfortable for hours, my squad bought it too",
            "broke after ten matches, cheap plastic, wrong parts in the box, the finish peels",
            "mechanical keyboard, keycap set, wrist rest, switch tester",
            "gaming mouse, mouse pad, mouse bungee, grip tape",
            "gaming headset, USB microphone, headset stand, ear pads",
            "strategy board game, card sleeves, dice set, party card game",
        ),
        _words(
            "六边芯, 像素工坊, 夜枭, 桌游屋",
            "紧凑, 旗舰, 限量, 比赛级, 便携",
            "游戏之夜必备, 每局都值, 玩几小时不累, 队友也跟着买了",
            "打了十局就坏, 塑料感重, 盒里配件不对, 表面掉皮",
            "机械键盘, 键帽套装, 键盘手托, 轴体测试板",
            "游戏鼠标, 鼠标垫, 鼠标线夹, 防滑贴",
            "游戏耳机, USB麦克风, 耳机支架, 耳机套",
            "策略桌游, 卡牌保护套, 骰子套装, 聚会卡牌",
        ),
    ),
]

LEAVES = 4
"""Subcategories of each category."""
